"""Avro schemas by the protocol."""

import json
from typing import Any

import pytest

from tests.schema_registry.conftest import Asked


def record(*fields: dict[str, Any], name: str = "Task") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def avro(schema: Any, **more: Any) -> dict[str, Any]:
    return {"schema": schema if isinstance(schema, str) else json.dumps(schema), **more}


ID = {"name": "id", "type": "string"}
PRICE = {"name": "price", "type": "long"}


async def test_avro_is_the_type_that_goes_unsaid(asked: Asked) -> None:
    """Without a type a schema is AVRO, and the answer does not name the type either."""
    first = await asked.post("/subjects/a/versions", avro(record(ID)))
    assert "schemaType" not in first
    found = await asked.get(f"/schemas/ids/{first['id']}")
    assert "schemaType" not in found
    assert json.loads(found["schema"]) == record(ID)
    assert (await asked.post("/subjects/a", avro(json.dumps(record(ID), indent=2))))["id"] == first["id"]


@pytest.mark.parametrize(
    ("level", "old", "new", "fine"),
    [
        ("BACKWARD", record(ID), record(ID, PRICE | {"default": 0}), True),
        ("BACKWARD", record(ID), record(ID, PRICE), False),
        ("BACKWARD", record(ID, PRICE), record(ID), True),
        ("FORWARD", record(ID), record(ID, PRICE), True),
        ("FORWARD", record(ID, PRICE), record(ID), False),
        ("FULL", record(ID), record(ID, PRICE | {"default": 0}), True),
        ("FULL", record(ID), record(ID, PRICE), False),
        ("BACKWARD", "int", "long", True),
        ("BACKWARD", "long", "int", False),
        ("BACKWARD", ["null", "string"], "string", False),
        ("BACKWARD", "string", ["null", "string"], True),
        ("NONE", "string", "int", True),
    ],
)
async def test_compatibility(asked: Asked, level: str, old: Any, new: Any, *, fine: bool) -> None:
    """Readers and writers are matched by Avro's rules of resolution."""
    await asked.put("/config/a", {"compatibility": level})
    await asked.post("/subjects/a/versions", avro(old if isinstance(old, str) else json.dumps(old)))
    sent = avro(new if isinstance(new, str) else json.dumps(new))
    verdict = await asked.post("/compatibility/subjects/a/versions/latest", sent, params={"verbose": "true"})
    assert verdict["is_compatible"] is fine
    assert bool(verdict["messages"]) is not fine
    answer = await asked.client.post("/subjects/a/versions", json=sent)
    assert answer.status_code == (200 if fine else 409)


async def test_references(asked: Asked) -> None:
    """Named types of another subject may be used by their names."""
    await asked.post("/subjects/price/versions", avro(record(PRICE, name="Price")))
    using = record({"name": "paid", "type": "Price"})
    assert await asked.refused("POST", "/subjects/a/versions", avro(using)) == (422, 42201)
    references = [{"name": "Price", "subject": "price", "version": 1}]
    assert (await asked.post("/subjects/a/versions", avro(using, references=references)))["version"] == 1


@pytest.mark.parametrize(
    "schema",
    ["", "{", '{"type": "record"}', '"nothing"', "[[[", '{"type": "fixed", "name": "f", "size": -1}', "7"],
)
async def test_what_is_no_avro(asked: Asked, schema: str) -> None:
    """What Avro does not know is refused."""
    assert await asked.refused("POST", "/subjects/a/versions", avro(schema)) == (422, 42201)


async def test_another_type_is_never_compatible(asked: Asked) -> None:
    """A subject keeps its type."""
    await asked.post("/subjects/a/versions", avro("string"))
    body = {"schema": '{"type": "string"}', "schemaType": "JSON"}
    assert await asked.refused("POST", "/subjects/a/versions", body) == (409, 40901)


async def test_a_type_nobody_knows(asked: Asked) -> None:
    """What cannot be judged is refused and never called compatible."""
    body = {"schema": "a schema", "schemaType": "THRIFT"}
    for path in ("/subjects/a/versions", "/compatibility/subjects/a/versions/latest"):
        answer = await asked.client.post(path, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)
        assert "THRIFT" in answer.json()["message"]


async def test_references_written_out(asked: Asked) -> None:
    """`format=resolved` puts each referenced type where it is used first; others change nothing."""
    await asked.post("/subjects/price/versions", avro(record(PRICE, name="Price")))
    using = record({"name": "paid", "type": "Price"}, {"name": "due", "type": "Price"})
    references = [{"name": "Price", "subject": "price", "version": 1}]
    first = await asked.post("/subjects/a/versions", avro(using, references=references))
    for path in (f"/schemas/ids/{first['id']}", "/subjects/a/versions/1", f"/schemas/guids/{first['guid']}"):
        resolved = json.loads((await asked.get(path, params={"format": "resolved"}))["schema"])
        assert [field["type"] for field in resolved["fields"]] == [record(PRICE, name="Price"), "Price"]
        assert json.loads((await asked.get(path, params={"format": "serialized"}))["schema"]) == using
