"""The schema files, answered as the registry would answer for them; the registry itself has its own tests."""

import json
from functools import cache
from pathlib import Path

import httpx2

SCHEMAS = Path(__file__).parents[2] / "schema_registry" / "schemas"


@cache
def contracts() -> dict[tuple[str, int], tuple[int, str]]:
    """(subject, version) -> (id, text of the schema)."""
    found = {}
    for number, path in enumerate(sorted(SCHEMAS.glob("*/*/[0-9]*.json")), start=1):
        text = path.read_text()
        schema = json.loads(text)
        found[f"{schema['x-topic']}-{schema['title']}", int(path.stem)] = (number, text)
    return found


def schema_id(subject: str, version: int) -> int:
    return contracts()[subject, version][0]


def files_as_registry() -> httpx2.MockTransport:
    """A transport for `SchemaClient` that answers from the files."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        parts = request.url.path.strip("/").split("/")
        if parts[:2] == ["schemas", "ids"]:
            by_id = dict(contracts().values())
            if (text := by_id.get(int(parts[2]))) is not None:
                return httpx2.Response(200, json={"schema": text})
        elif parts[0] == "subjects" and (hit := contracts().get((parts[1], int(parts[3])))) is not None:
            return httpx2.Response(200, json={"id": hit[0], "schema": hit[1]})
        return httpx2.Response(404, json={"error_code": 40403, "message": "not found"})

    return httpx2.MockTransport(answer)
