"""The routes of Confluent's protocol, as its clients and user interfaces call them."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from schema_registry.domain.contracts import read_contracts
from service_kit.identity import Role
from tests.schema_registry.conftest import V1, Asked, Web, an_object, sent
from tests.support.schemas import SCHEMAS

STRING = an_object(a={"type": "string"})
CREATED = "tracker.tasks-TaskCreated"
CONTRACTS = read_contracts(SCHEMAS)
FILES = sum(len(one.versions) for one in CONTRACTS)


class TestReading:
    async def test_root_is_an_empty_object_for_programs(self, anybody: Asked) -> None:
        """Clients know a registry by the empty object at its root."""
        assert await anybody.get("/") == {}
        assert await anybody.post("/") == {}

    async def test_our_events_are_there_at_start(self, anybody: Asked) -> None:
        """Every contract file is registered under `<topic>-<Event>` before the first request."""
        assert await anybody.get("/subjects", params={"subjectPrefix": "tracker."}) == [
            "tracker.tasks-TaskAssigned",
            "tracker.tasks-TaskCompleted",
            "tracker.tasks-TaskCreated",
            "tracker.tasks-TaskUpdated",
        ]
        assert await anybody.get(f"/subjects/{CREATED}/versions") == [1, 2]
        assert await anybody.get(f"/config/{CREATED}") == {"compatibilityLevel": "FORWARD_TRANSITIVE"}

    async def test_a_version_by_number_latest_and_minus_one(self, anybody: Asked) -> None:
        """`latest` and -1 are the same version; the raw schema is the schema itself."""
        latest = await anybody.get(f"/subjects/{CREATED}/versions/latest")
        assert latest["version"] == 2
        assert latest["schemaType"] == "JSON"
        assert "references" not in latest
        assert await anybody.get(f"/subjects/{CREATED}/versions/-1") == latest
        raw = await anybody.get(f"/subjects/{CREATED}/versions/2/schema")
        assert raw == json.loads(latest["schema"])

    async def test_a_schema_by_its_id_and_guid(self, anybody: Asked) -> None:
        """Consumers find the schema by the id in the record, or by the GUID in its header."""
        version = await anybody.get(f"/subjects/{CREATED}/versions/1")
        by_id = await anybody.get(f"/schemas/ids/{version['id']}", params={"subject": CREATED})
        assert by_id["schema"] == version["schema"]
        assert by_id["schemaType"] == "JSON"
        assert await anybody.get(f"/schemas/guids/{version['guid']}") == by_id
        assert await anybody.get(f"/schemas/ids/{version['id']}/schema") == json.loads(version["schema"])
        assert await anybody.get(f"/schemas/ids/{version['id']}/subjects") == [CREATED]
        assert await anybody.get(f"/schemas/ids/{version['id']}/versions") == [
            {"subject": CREATED, "version": 1}
        ]

    async def test_what_user_interfaces_ask(self, anybody: Asked) -> None:
        """Redpanda Console and Kafbat ask for these before they show anything."""
        assert await anybody.get("/mode") == {"mode": "READWRITE"}
        assert await anybody.get("/config") == {"compatibilityLevel": "BACKWARD"}
        assert await anybody.get("/schemas/types") == ["JSON", "PROTOBUF", "AVRO"]
        assert await anybody.get("/contexts") == ["."]
        assert "version" in await anybody.get("/v1/metadata/version")
        assert "id" in await anybody.get("/v1/metadata/id")
        assert len(await anybody.get("/schemas")) == FILES
        assert len(await anybody.get("/schemas", params={"latestOnly": "true"})) == len(CONTRACTS)
        assert len(await anybody.get("/schemas", params={"offset": 2, "limit": 3})) == 3

    async def test_there_are_no_associations(self, asked: Asked, anybody: Asked) -> None:
        """Serialisers ask for them first, and go on without; whoever wants to make one is told why not."""
        path = "/associations/resources/-/tracker%2Ftasks?resourceType=topic&associationType=value"
        assert await anybody.get(path) == []
        assert await anybody.get(f"/associations/subjects/{CREATED}?lifecycle=STRONG&limit=5") == []
        assert await anybody.get("/associations/resources/lkc-1") == []
        assert await asked.refused("DELETE", "/associations/resources/lkc-1") == (404, 40410)
        for method, place in (
            ("POST", "/associations"),
            ("PUT", "/associations/resources/lkc-1"),
            ("POST", "/associations:batchGet"),
            ("POST", "/associations:batchMutate"),
        ):
            assert await asked.refused(method, place, {}) == (422, 42205)
            assert await anybody.refused(method, place, {}) == (401, 401)

    async def test_forms_that_nobody_knows(self, asked: Asked) -> None:
        """They change nothing, but for one that would be another text: nothing is registered by it."""
        path = f"/subjects/{CREATED}/versions/1"
        assert await asked.get(f"{path}?format=later") == await asked.get(path)
        body = {"schema": "CREATE TABLE t", "schemaType": "JSON"}
        assert await asked.refused("POST", "/subjects/logical/versions?format=LOGICAL", body) == (422, 42201)
        assert "logical" not in await asked.get("/subjects?deleted=true")

    @pytest.mark.parametrize(
        ("accept", "answered"),
        [
            ("*/*", V1),
            (V1, V1),
            ("application/vnd.schemaregistry+json", "application/vnd.schemaregistry+json"),
            ("application/json", "application/json"),
            ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ],
    )
    async def test_media_types(self, anybody: Asked, accept: str, answered: str) -> None:
        """The answer comes in the media type that was asked for."""
        answer = await anybody.client.get("/subjects", headers={"Accept": accept})
        assert answer.headers["content-type"] == answered

    async def test_behind_the_gateway(self, web: Web) -> None:
        """The same routes answer under the public path."""
        async with web.browser() as client:
            answer = await client.get("/subjects")
        assert CREATED in answer.json()


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nowhere", 404, 404),
            ("PATCH", "/subjects", 405, 405),
            ("GET", "/subjects/none/versions", 404, 40401),
            ("GET", "/subjects/none/versions/1", 404, 40401),
            ("GET", f"/subjects/{CREATED}/versions/9", 404, 40402),
            ("GET", f"/subjects/{CREATED}/versions/0", 422, 42202),
            ("GET", f"/subjects/{CREATED}/versions/two", 422, 42202),
            ("GET", "/schemas/ids/99999", 404, 40403),
            ("GET", "/schemas/ids/99999999999999999999", 404, 40403),
            ("GET", "/schemas/guids/no-guid", 404, 40403),
            ("GET", "/config/none", 404, 40408),
            ("GET", "/mode/none", 404, 40409),
            ("GET", "/associations/resources/-/topic?lifecycle=FOREVER", 422, 422),
            ("DELETE", "/associations/resources/topic", 401, 401),
            ("GET", f"/subjects/{CREATED}/versions/1?format=logical", 422, 42201),
            ("GET", "/subjects?offset=-1", 422, 422),
            ("GET", "/subjects/:.other:x/versions", 404, 40401),
            ("GET", "/subjects/:.other:/versions", 422, 42208),
            ("GET", "/subjects/:.other/versions", 422, 42208),
        ],
    )
    async def test_every_refusal_has_the_two_fields(
        self, anybody: Asked, method: str, path: str, status: int, code: int
    ) -> None:
        """Unknown routes and methods, too, answer error_code and message and nothing else."""
        assert await anybody.refused(method, path) == (status, code)

    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/config", "DELETE, GET, PUT"),
            ("/", "GET, POST"),
            ("/schemas/types", "GET"),
            ("/mode/x", "DELETE, GET, PUT"),
            ("/subjects/x/metadata", "GET"),
            ("/subjects/x/versions/1/schema", "GET"),
            ("/subjects/x/versions/1/tags", "POST"),
        ],
    )
    async def test_methods_that_are_allowed(self, anybody: Asked, path: str, methods: str) -> None:
        """Another method is told all that there are."""
        answer = await anybody.client.request("PATCH", path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == methods

    def test_every_route_is_described(self, web: Web) -> None:
        """Media types, refusals and bodies of each operation stand in its description."""
        paths = web.app.openapi()["paths"]
        for path, operations in paths.items():
            for method, operation in operations.items():
                assert {"401", "404", "422"} <= operation["responses"].keys(), (method, path)
                success = operation["responses"]["200"]["content"]
                read_by_people = ["text/html"] if (method, path) == ("get", "/") else []
                assert list(success) == [V1, *read_by_people], (method, path)
        body = paths["/subjects/{subject}/versions"]["post"]["requestBody"]
        assert "schemaType" in body["content"][V1]["schema"]["properties"]
        assert "$defs" not in json.dumps(body)

    async def test_a_media_type_we_cannot_answer(self, anybody: Asked) -> None:
        """406, in the same shape."""
        assert await anybody.refused("GET", "/subjects", headers={"Accept": "image/png"}) == (406, 406)

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", 42201),
            (b"{}", 42201),
            (b"{", 400),
            (b"[]", 400),
            (b'{"schema": 1}', 400),
            (b'{"schema": "{}"}', 42201),
            (b'{"schema": "{}", "schemaType": "AVRO"}', 42201),
            (b'{"schema": "{", "schemaType": "JSON"}', 42201),
            (b'{"schema": "{\\"type\\": \\"foo\\"}", "schemaType": "JSON"}', 42201),
            (b'{"schema": "{\\"$ref\\": \\"http://elsewhere.test/x\\"}", "schemaType": "JSON"}', 42201),
            (b'{"schema": "{\\"a\\": 1e999}", "schemaType": "JSON"}', 42201),
        ],
    )
    async def test_bodies_that_are_no_schema(self, asked: Asked, body: bytes, code: int) -> None:
        """What is missing or no schema is 42201, what is of the wrong kind 400; nothing is a 500."""
        answer = await asked.client.post("/subjects/bad/versions", content=body)
        assert answer.json()["error_code"] == code

    async def test_writing_needs_an_administrator(self, web: Web, anybody: Asked) -> None:
        """Nobody and ordinary people may read everything and change nothing."""
        async with web.own_port(Role.WORKER) as client:
            for method, path, body in (
                ("POST", "/subjects/new/versions", sent(STRING)),
                ("PUT", "/config", {"compatibility": "NONE"}),
                ("PUT", f"/config/{CREATED}", {"compatibility": "NONE"}),
                ("PUT", "/mode", {"mode": "READONLY"}),
                ("DELETE", f"/subjects/{CREATED}", None),
                ("DELETE", f"/subjects/{CREATED}/versions/1", None),
                ("DELETE", f"/config/{CREATED}", None),
            ):
                assert await anybody.refused(method, path, body) == (401, 401)
                assert await Asked(client).refused(method, path, body) == (403, 403)
        assert await anybody.get("/subjects", params={"subjectPrefix": "new"}) == []


class TestRegistering:
    async def test_first_version(self, asked: Asked) -> None:
        """The answer tells the id, the version and the digest that is the GUID."""
        answer = await asked.post("/subjects/t-value/versions", sent(STRING), params={"normalize": "False"})
        text = json.dumps(STRING, separators=(",", ":"))
        assert answer["version"] == 1
        assert answer["schema"] == text
        assert UUID(answer["guid"]) == UUID(bytes=hashlib.md5(text.encode()).digest())  # noqa: S324

    async def test_again_is_the_same(self, asked: Asked, anybody: Asked) -> None:
        """White space does not make a schema another; whoever only asks for the id needs no right."""
        first = await asked.post("/subjects/t-value/versions", sent(STRING))
        spaced = {"schema": json.dumps(STRING, indent=4), "schemaType": "JSON"}
        assert await anybody.post("/subjects/t-value/versions", spaced) == first
        assert await anybody.post("/subjects/t-value", spaced) | {"ts": 0, "deleted": False} == first | {
            "subject": "t-value",
            "ts": 0,
            "deleted": False,
        }

    async def test_order_of_keys(self, asked: Asked) -> None:
        """Another order of keys is another schema, unless it is normalised."""
        await asked.post("/subjects/t-value/versions", sent({"title": "x", "type": "object"}))
        turned = sent({"type": "object", "title": "x"})
        assert await asked.refused("POST", "/subjects/t-value", turned) == (404, 40403)
        await asked.post(
            "/subjects/n-value/versions", sent({"type": "object", "title": "x"}), params={"normalize": "true"}
        )
        assert (await asked.post("/subjects/n-value", turned, params={"normalize": "true"}))["version"] == 1

    async def test_equal_schemas_share_their_id(self, asked: Asked) -> None:
        """The same schema under another subject has the same id."""
        first = await asked.post("/subjects/a/versions", sent(STRING))
        second = await asked.post("/subjects/b/versions", sent(STRING))
        assert first["id"] == second["id"]
        assert await asked.get(f"/schemas/ids/{first['id']}/subjects") == ["a", "b"]

    async def test_an_incompatible_version_is_refused(self, asked: Asked) -> None:
        """409 with 40901 and the rule that was broken; NONE lets everything pass."""
        await asked.post("/subjects/t/versions", sent(an_object(a={"type": "string"})))
        changed = sent(an_object(a={"type": "integer"}))
        answer = await asked.client.post("/subjects/t/versions", json=changed)
        assert (answer.status_code, answer.json()["error_code"]) == (409, 40901)
        assert "TYPE_CHANGED" in answer.json()["message"]
        await asked.put("/config/t", {"compatibility": "NONE"})
        assert (await asked.post("/subjects/t/versions", changed))["version"] == 2

    async def test_compatibility_is_asked_without_registering(self, anybody: Asked) -> None:
        """Both checks tell, verbosely, which rule is broken where."""
        wrong = sent({"type": "array"})
        for path in ("versions/latest", "versions"):
            verdict = await anybody.post(
                f"/compatibility/subjects/{CREATED}/{path}", wrong, params={"verbose": "true"}
            )
            assert verdict["is_compatible"] is False
            assert "TYPE_CHANGED" in verdict["messages"][0]
        assert await anybody.post(f"/compatibility/subjects/{CREATED}/versions/1", wrong) == {
            "is_compatible": False
        }
        assert await anybody.post("/compatibility/subjects/none/versions/latest", wrong) == {
            "is_compatible": True
        }
        assert await anybody.refused("POST", "/compatibility/subjects/none/versions/3", wrong) == (404, 40402)

    async def test_references(self, asked: Asked) -> None:
        """A schema may use another registered one by name, and keeps it from being deleted."""
        await asked.post("/subjects/cents/versions", sent({"type": "integer", "minimum": 0}))
        user = sent(
            an_object(price={"$ref": "cents.json"}),
            references=[{"name": "cents.json", "subject": "cents", "version": 1}],
        )
        registered = await asked.post("/subjects/price/versions", user)
        assert registered["references"] == [{"name": "cents.json", "subject": "cents", "version": 1}]
        assert await asked.get("/subjects/cents/versions/1/referencedby") == [registered["id"]]
        assert await asked.refused("DELETE", "/subjects/cents") == (422, 42206)
        missing = sent(STRING, references=[{"name": "x", "subject": "none", "version": 1}])
        assert await asked.refused("POST", "/subjects/y/versions", missing) == (422, 42201)

    async def test_metadata_and_rules_are_kept(self, asked: Asked) -> None:
        """They make a version of their own and go on to the next one that does not say otherwise."""
        details = {"properties": {"owner": "money"}}
        rules = {"domainRules": [{"name": "r", "kind": "CONDITION"}]}
        first = await asked.post("/subjects/m/versions", sent(STRING, metadata=details, ruleSet=rules))
        assert (first["metadata"], first["ruleSet"]) == (details, rules)
        second = await asked.post("/subjects/m/versions", sent(STRING | {"title": "x"}))
        assert second["metadata"] == details
        found = await asked.get("/subjects/m/metadata", params={"key": "owner", "value": "money"})
        assert found["version"] == 2

    async def test_names_with_slashes_and_spaces(self, asked: Asked) -> None:
        """Subjects may be named almost anything; `%2F` is a slash inside of the name."""
        await asked.post("/subjects/a%2Fb%20%C3%BC/versions", sent(STRING))
        assert "a/b ü" in await asked.get("/subjects")
        assert await asked.get("/subjects/a%2Fb%20%C3%BC/versions") == [1]
        assert (await asked.get("/subjects/a%2Fb%20%C3%BC/versions/1"))["subject"] == "a/b ü"

    async def test_a_name_that_looks_like_a_path(self, asked: Asked) -> None:
        """An escaped slash never ends the name, a plain one always does, on every route."""
        await asked.post("/subjects/a%2Fversions%2F1/versions", sent(STRING))
        assert "a/versions/1" in await asked.get("/subjects")
        assert await asked.get("/subjects/a%2fversions%2f1/versions") == [1]
        assert await asked.refused("GET", "/subjects/a/versions/1") == (404, 40401)
        assert await asked.refused("GET", "/subjects/a/b/versions") == (404, 404)
        await asked.put("/config/a%2Fversions%2F1", {"compatibility": "FULL"})
        assert await asked.get("/config/a%2Fversions%2F1") == {"compatibilityLevel": "FULL"}
        inside = "/contexts/.c/subjects/a%2Fversions%2F1/versions"
        await asked.post(inside, sent(STRING))
        assert ":.c:a/versions/1" in await asked.get("/subjects")

    async def test_one_schema_registered_by_many_at_once(self, asked: Asked) -> None:
        """Parallel registrations of one schema give one id and one version."""
        answers = await asyncio.gather(*(asked.post("/subjects/p/versions", sent(STRING)) for _ in range(20)))
        assert len({(answer["id"], answer["version"]) for answer in answers}) == 1

    async def test_many_schemas_registered_at_once(self, asked: Asked) -> None:
        """Different schemas of one subject get versions without a gap."""
        await asked.put("/config/p", {"compatibility": "NONE"})
        bodies = [sent(an_object(**{f"f{number}": {}})) for number in range(20)]
        answers = await asyncio.gather(*(asked.post("/subjects/p/versions", body) for body in bodies))
        assert sorted(answer["version"] for answer in answers) == list(range(1, 21))


class TestDeleting:
    async def test_softly_then_permanently(self, asked: Asked) -> None:
        """A subject disappears from lists first, and for good only when asked again; its id then is gone."""
        first = await asked.post("/subjects/d/versions", sent(STRING))
        assert await asked.refused("DELETE", "/subjects/d?permanent=true") == (404, 40405)
        assert await asked.delete("/subjects/d") == [1]
        assert "d" not in await asked.get("/subjects")
        assert "d" in await asked.get("/subjects", params={"deleted": "true"})
        assert await asked.get("/subjects", params={"deletedOnly": "true"}) == ["d"]
        assert await asked.refused("GET", "/subjects/d/versions/1") == (404, 40401)
        assert await asked.get(f"/schemas/ids/{first['id']}")
        assert await asked.refused("DELETE", "/subjects/d") == (404, 40404)
        assert await asked.delete("/subjects/d", params={"permanent": "true"}) == [1]
        assert await asked.refused("GET", f"/schemas/ids/{first['id']}") == (404, 40403)
        again = await asked.post("/subjects/d/versions", sent(STRING))
        assert again["version"] == 1
        assert again["id"] > first["id"]

    async def test_one_version(self, asked: Asked) -> None:
        """The number of a deleted version is not given again."""
        await asked.post("/subjects/d/versions", sent(STRING))
        await asked.post("/subjects/d/versions", sent(STRING | {"title": "second"}))
        assert await asked.refused("DELETE", "/subjects/d/versions/2?permanent=true") == (404, 40407)
        assert await asked.delete("/subjects/d/versions/latest") == 2
        assert await asked.get("/subjects/d/versions") == [1]
        assert await asked.refused("DELETE", "/subjects/d/versions/2") == (404, 40406)
        assert (await asked.post("/subjects/d/versions", sent(STRING | {"title": "third"})))["version"] == 3
        assert await asked.delete("/subjects/d/versions/2", params={"permanent": "true"}) == 2

    async def test_the_last_version(self, asked: Asked) -> None:
        """Deleted twice it is told to be deleted, though the subject is no longer listed."""
        await asked.post("/subjects/d/versions", sent(STRING))
        assert await asked.delete("/subjects/d/versions/1") == 1
        assert "d" not in await asked.get("/subjects")
        assert await asked.refused("DELETE", "/subjects/d/versions/1") == (404, 40406)
        assert await asked.delete("/subjects/d/versions/1", params={"permanent": "true"}) == 1
        assert await asked.refused("DELETE", "/subjects/d/versions/1") == (404, 40401)


class TestSettings:
    async def test_levels(self, asked: Asked) -> None:
        """A subject's own level stands above the global one, until it is taken away."""
        assert await asked.put("/config", {"compatibility": "full"}) == {"compatibility": "full"}
        assert await asked.get("/config") == {"compatibilityLevel": "FULL"}
        assert await asked.get("/config/x", params={"defaultToGlobal": "true"}) == {
            "compatibilityLevel": "FULL"
        }
        await asked.put("/config/x", {"compatibility": "NONE", "normalize": True})
        assert await asked.get("/config/x") == {"compatibilityLevel": "NONE", "normalize": True}
        assert await asked.delete("/config/x") == {"compatibilityLevel": "NONE", "normalize": True}
        assert await asked.refused("GET", "/config/x") == (404, 40408)
        assert await asked.refused("PUT", "/config", {"compatibility": "SOMETIMES"}) == (422, 42203)

    async def test_modes(self, asked: Asked) -> None:
        """A read-only subject takes nothing; ids are chosen in import mode only."""
        assert await asked.put("/mode/r", {"mode": "READONLY"}) == {"mode": "READONLY"}
        assert await asked.refused("POST", "/subjects/r/versions", sent(STRING)) == (422, 42205)
        assert await asked.refused("POST", "/subjects/i/versions", sent(STRING, id=5000)) == (422, 42205)
        await asked.put("/mode/i", {"mode": "IMPORT"})
        imported: dict[str, Any] = await asked.post("/subjects/i/versions", sent(STRING, id=5000, version=7))
        assert (imported["id"], imported["version"]) == (5000, 7)
        other = await asked.post("/subjects/o/versions", sent({"type": "string"}))
        assert other["id"] > 5000
        assert await asked.refused("PUT", "/mode", {"mode": "SLEEPING"}) == (422, 42204)
        assert await asked.delete("/mode/r") == {"mode": "READONLY"}
