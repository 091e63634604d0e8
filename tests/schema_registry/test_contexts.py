"""Contexts: registries inside of the registry."""

import json

import pytest

from tests.schema_registry.conftest import Asked, an_object, sent

STRING = an_object(a={"type": "string"})
OTHER = an_object(b={"type": "integer"})


class TestNames:
    @pytest.mark.parametrize(
        "path", ["/subjects/:.team:t", "/contexts/.team/subjects/t", "/contexts/:.team:/subjects/t"]
    )
    async def test_ways_to_one_subject(self, asked: Asked, path: str) -> None:
        """The qualified name and both forms of the path mean the same subject."""
        registered = await asked.post(f"{path}/versions", sent(STRING))
        assert await asked.get("/subjects/:.team:t/versions") == [1]
        assert (await asked.get("/contexts/.team/subjects/t/versions/1"))["id"] == registered["id"]
        assert (await asked.get(f"{path}/versions/latest"))["subject"] == ":.team:t"

    async def test_lists(self, asked: Asked) -> None:
        """Without a prefix a list shows every context; a prefix or a path shows one."""
        await asked.post("/subjects/:.team:t/versions", sent(STRING))
        await asked.post("/subjects/t/versions", sent(STRING))
        assert await asked.get("/contexts") == [".", ".team"]
        assert await asked.get("/contexts", params={"contextPrefix": ".t"}) == [".team"]
        assert {":.team:t", "t"} <= set(await asked.get("/subjects"))
        assert await asked.get("/contexts/.team/subjects") == [":.team:t"]
        assert await asked.get("/subjects", params={"subjectPrefix": ":.team:"}) == [":.team:t"]
        assert ":.team:t" not in await asked.get("/subjects", params={"subjectPrefix": ""})
        assert [one["subject"] for one in await asked.get("/contexts/.team/schemas")] == [":.team:t"]

    @pytest.mark.parametrize("path", ["/contexts/.a:b/subjects", "/contexts/:.a:b:/subjects"])
    async def test_what_is_no_context(self, anybody: Asked, path: str) -> None:
        """A name that cannot be one is refused."""
        assert await anybody.refused("GET", path) == (422, 42208)


class TestIds:
    async def test_each_context_has_ids_of_its_own(self, asked: Asked) -> None:
        """A registry can be brought into a context with its ids, though they are taken elsewhere."""
        taken = await asked.post("/subjects/t/versions", sent(STRING))
        await asked.put("/contexts/.old/mode", {"mode": "IMPORT"})
        await asked.post("/contexts/.old/subjects/t/versions", sent(OTHER, id=taken["id"], version=4))
        here = await asked.get(f"/schemas/ids/{taken['id']}")
        there = await asked.get(f"/contexts/.old/schemas/ids/{taken['id']}")
        assert json.loads(here["schema"]) == STRING
        assert json.loads(there["schema"]) == OTHER
        by_subject = await asked.get(f"/schemas/ids/{taken['id']}", params={"subject": ":.old:t"})
        assert by_subject == there

    async def test_an_id_is_found_by_its_plain_subject(self, asked: Asked) -> None:
        """A reader that knows only the plain subject finds the schema in the context that has it."""
        await asked.put("/contexts/.old/mode", {"mode": "IMPORT"})
        await asked.post("/contexts/.old/subjects/t/versions", sent(OTHER, id=4711, version=1))
        assert await asked.refused("GET", "/schemas/ids/4711") == (404, 40403)
        assert await asked.get("/schemas/ids/4711", params={"subject": "t"})

    async def test_one_schema_in_two_contexts(self, asked: Asked) -> None:
        """Its GUID is the same in both; the list of ids tells them apart."""
        one = await asked.post("/subjects/t/versions", sent(STRING))
        two = await asked.post("/subjects/:.team:t/versions", sent(STRING))
        assert one["guid"] == two["guid"]
        assert await asked.get(f"/schemas/guids/{one['guid']}/ids") == [
            {"context": ".", "id": one["id"]},
            {"context": ".team", "id": two["id"]},
        ]

    async def test_the_highest_id(self, asked: Asked) -> None:
        """A client may ask for it beside a schema."""
        last = await asked.post("/subjects/t/versions", sent(STRING))
        assert (await asked.get("/schemas/ids/1", params={"fetchMaxId": "true"}))["maxId"] == last["id"]


class TestInside:
    async def test_references_stay_inside(self, asked: Asked) -> None:
        """A plain reference means a subject of the same context."""
        await asked.post("/subjects/:.team:cents/versions", sent({"type": "integer"}))
        user = sent({"$ref": "c"}, references=[{"name": "c", "subject": "cents", "version": 1}])
        registered = await asked.post("/subjects/:.team:price/versions", user)
        assert await asked.get("/subjects/:.team:cents/versions/1/referencedby") == [registered["id"]]
        assert await asked.refused("POST", "/subjects/price/versions", user) == (422, 42201)

    async def test_settings_of_a_context(self, asked: Asked) -> None:
        """They hold for its subjects, and what is set for the default context does not."""
        await asked.put("/config", {"compatibility": "NONE"})
        await asked.put("/contexts/.team/config", {"compatibility": "FULL"})
        inside = await asked.get("/config/:.team:t", params={"defaultToGlobal": "true"})
        assert inside == {"compatibilityLevel": "FULL"}
        assert await asked.get("/config/:.team:") == {"compatibilityLevel": "FULL"}
        await asked.delete("/config/:.team:")
        inside = await asked.get("/config/:.team:t", params={"defaultToGlobal": "true"})
        assert inside == {"compatibilityLevel": "BACKWARD"}
        await asked.put("/config/:.__GLOBAL:", {"compatibility": "FORWARD"})
        inside = await asked.get("/config/:.team:t", params={"defaultToGlobal": "true"})
        assert inside == {"compatibilityLevel": "FORWARD"}

    async def test_a_read_only_context(self, asked: Asked) -> None:
        """Its subjects take nothing, those of others do; taking it back may go deep."""
        await asked.put("/mode/:.team:", {"mode": "READONLY"})
        assert await asked.refused("POST", "/subjects/:.team:t/versions", sent(STRING)) == (422, 42205)
        await asked.post("/subjects/t/versions", sent(STRING))
        await asked.put("/mode/:.team:t", {"mode": "READONLY"})
        await asked.delete("/mode/:.team:", params={"recursive": "true"})
        await asked.post("/subjects/:.team:t/versions", sent(STRING))

    async def test_forgetting_a_context(self, asked: Asked) -> None:
        """Only an empty one can go."""
        await asked.post("/subjects/:.team:t/versions", sent(STRING))
        assert await asked.refused("DELETE", "/contexts/.team") == (422, 42211)
        await asked.delete("/subjects/:.team:t")
        await asked.delete("/subjects/:.team:t", params={"permanent": "true"})
        await asked.delete("/contexts/.team")
        assert await asked.get("/contexts") == ["."]
