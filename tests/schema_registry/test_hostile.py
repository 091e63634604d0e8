"""Hostile input: an answer in the shape of the protocol, never a 500, and nothing fetched from anywhere."""

import json
from typing import Any

import pytest

from schema_registry.domain.comparison import is_within
from schema_registry.domain.documents import read_document
from tests.schema_registry.conftest import Asked, an_object, sent

DEPTH = 10_000
TEXT = {"type": "string"}


def raw(text: str, kind: str = "JSON") -> dict[str, Any]:
    return {"schema": text, "schemaType": kind}


DEEP = {
    "deep objects": '{"properties":{"a":' * DEPTH + "{}" + "}}" * DEPTH,
    "deep lists": '{"enum":' + "[" * DEPTH + "]" * DEPTH + "}",
    "deep not": '{"not":' * DEPTH + "{}" + "}" * DEPTH,
    "deep enough to be parsed": '{"properties":{"a":' * 200 + "{}" + "}}" * 200,
    "a number without an end": '{"maximum":1e99999}',
    "a very long whole number": '{"maximum":' + "9" * 5000 + "}",
    "half a surrogate": '{"title":"\\ud800"}',
    "a NUL": '{"title":"\\u0000"}',
    "not a number": '{"maximum":NaN}',
    "a pattern that is none": '{"pattern":"("}',
    "a reference to nowhere": '{"$ref":"#/definitions/none"}',
    "a reference to itself": '{"$ref":"#"}',
    "a circle": '{"$ref":"#/definitions/a","definitions":{"a":{"$ref":"#"}}}',
    "a list": "[]",
    "a pointer into words": '{"$ref":"#/title","title":"x"}',
    "a draft nobody knows": '{"$schema":"http://example.test/draft"}',
    "an id that is no address": '{"$id":"http://[","type":"string"}',
    "an anchor twice": '{"$schema":"https://json-schema.org/draft/2020-12/schema",'
    '"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}',
}


class TestSchemas:
    @pytest.mark.parametrize("text", list(DEEP.values()), ids=list(DEEP))
    async def test_nothing_breaks(self, asked: Asked, text: str) -> None:
        """Registering, checking and looking up answer 200 or a refusal with its code."""
        await asked.put("/config", {"compatibility": "FULL_TRANSITIVE"})
        await asked.post("/subjects/h/versions", sent({"type": "object"}))
        for path in ("/compatibility/subjects/h/versions", "/subjects/h", "/subjects/h/versions"):
            for kind in ("JSON", "AVRO"):
                answer = await asked.client.post(path, json=raw(text, kind))
                assert answer.status_code in {200, 400, 404, 409, 422}, (path, answer.text[:300])
                if answer.is_error:
                    assert set(answer.json()) == {"error_code", "message"}

    async def test_five_megabytes(self, asked: Asked) -> None:
        """Refused before it is read, in the shape of the protocol."""
        body = json.dumps(raw(json.dumps({"title": "x" * 5_000_000})))
        answer = await asked.client.post(
            "/subjects/h/versions", content=body, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["error_code"]) == (413, 413)

    async def test_the_largest_that_passes(self, asked: Asked) -> None:
        """Thousands of fields are registered, found again and compared."""
        wide = an_object(**{f"field{n}": TEXT for n in range(5_000)}) | {"additionalProperties": False}
        assert (await asked.post("/subjects/h/versions", sent(wide)))["version"] == 1
        wider = an_object(**{f"field{n}": TEXT for n in range(5_001)}) | {"additionalProperties": False}
        assert (await asked.post("/subjects/h/versions", sent(wider)))["version"] == 2

    @pytest.mark.parametrize(
        "address",
        [
            "http://127.0.0.1:1/x.json",
            "https://example.test/x",
            "file:///etc/passwd",
            "//example.test/x",
            "x.json",
        ],
    )
    async def test_nothing_is_fetched(self, asked: Asked, address: str) -> None:
        """A reference that was not sent along is refused, whatever its address."""
        for schema in ({"$ref": address}, {"properties": {"a": {"$ref": address}}}):
            assert await asked.refused("POST", "/subjects/h/versions", sent(schema)) == (422, 42201)

    @pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(?=(a+)+$)b", "(a*)*\\1b"])
    def test_patterns_that_try_for_ever(self, pattern: str) -> None:
        """The comparison asks whether names fall under a pattern, and has its answer in a bounded time."""
        patterned = {"type": "object", "patternProperties": {pattern: TEXT}, "additionalProperties": False}
        named = patterned | {"properties": {"a" * 40 + "!": TEXT}}
        original, update = (read_document(json.dumps(one)) for one in (patterned, named))
        assert is_within(original, update) in {True, False}


class TestBodies:
    @pytest.mark.parametrize(
        ("content", "status"),
        [
            (b"", 422),
            (b"{", 400),
            (b"[" * 100_000, 400),
            (b"\xff\xfe", 400),
            (b"null", 400),
            (b"[]", 400),
            (b'{"schema": 1}', 400),
            (b'{"schema": null}', 400),
            (b'{"schema": {}}', 400),
            (b'{"schema": "{}", "references": {}}', 400),
            (b'{"schema": "{}", "references": [{"name": "x"}]}', 422),
            (b'{"schema": "{}", "id": 99999999999}', 400),
            (b'{"schema": "{}", "metadata": []}', 400),
            (b'{"schemaType": "JSON"}', 422),
            (b'{"schema": "{}", "metadata": {"tags": 5}}', 400),
            (b'{"schema": "{}", "metadata": {"x": 1e300}}', 400),
            (b'{"schema": "{}", "ruleSet": {"domainRules": 1}}', 400),
            (b'{"schema": "{}", "metadata": {"properties": {"a": "\\u0000"}}}', 400),
            (b'{"schema": "{}", "metadata": ' + b'{"a":' * 300 + b"1" + b"}" * 301, 400),
            (b'{"schema": "{}", "references": [{"name": "\\u0000", "subject": "a", "version": 1}]}', 400),
            (b'{"schema": "{}", "references": [{"name": "a", "subject": "\\u0000", "version": 1}]}', 422),
        ],
    )
    async def test_what_cannot_be_read(self, asked: Asked, content: bytes, status: int) -> None:
        """Refused with a status that says whose fault it is."""
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        answer = await asked.client.post("/subjects/h/versions", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error_code", "message"}

    async def test_another_media_type(self, asked: Asked) -> None:
        """415, as clients of the protocol know it."""
        answer = await asked.client.post(
            "/subjects/h/versions", content=b"schema=x", headers={"Content-Type": "text/plain"}
        )
        assert answer.status_code == 415
        assert answer.json() == {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}

    @pytest.mark.parametrize(
        "content",
        [
            '{"x": "\\u0000"}',
            '{"alias": "\\u0000"}',
            '{"compatibilityGroup": 1}',
            '{"x": 1e300}',
            '{"x": 99999999999999999999}',
            '{"defaultMetadata": {"tags": 5}}',
            '{"overrideMetadata": {"properties": {"a": {}}}}',
            '{"defaultRuleSet": {"domainRules": ["rule"]}}',
        ],
    )
    async def test_strange_settings(self, asked: Asked, content: str) -> None:
        """Fields nobody knows are kept, unless they cannot be; what is refused leaves nothing behind."""
        headers = {"Content-Type": "application/json"}
        answer = await asked.client.put("/config/h", content=content, headers=headers)
        assert answer.status_code in {400, 422}, answer.text
        assert await asked.refused("GET", "/config/h") == (404, 40408)

    async def test_a_change_with_parameters_of_no_meaning(self, asked: Asked) -> None:
        """The record of changes takes them as far as they can be stored."""
        assert await asked.put("/config/h?a%00=%00b", {"compatibility": "FULL"}) == {"compatibility": "FULL"}


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "ü/ö",
            "перо",
            "鳥 の 名",
            "a%b",
            "a+b",
            "a?b#c",
            "..",
            "a//b",
            "versions",
            "x/versions/1",
            "😀",
            "'\";--",
            "%2F",
        ],
    )
    async def test_names_come_back_as_they_were_sent(self, asked: Asked, name: str) -> None:
        """Whatever can be printed is a name, escaped in the path."""
        from urllib.parse import quote  # noqa: PLC0415  as a client would

        path = "/subjects/" + quote(name, safe="").replace(".", "%2E")
        answer = await asked.client.post(f"{path}/versions", json=sent(TEXT))
        if answer.status_code == 200:
            assert name in await asked.get("/subjects")
            assert (await asked.get(f"{path}/versions/1"))["subject"] == name
        else:
            assert answer.status_code in {404, 405, 422}

    @pytest.mark.parametrize(
        "path", ["/subjects/%00/versions", "/subjects/%C3/versions", "/config/%0A", "/mode/%E2%80%AE"]
    )
    async def test_what_is_no_name(self, anybody: Asked, path: str) -> None:
        """What cannot be printed is refused."""
        status, _code = await anybody.refused("GET", path)
        assert status in {404, 422}

    @pytest.mark.parametrize(
        "query",
        [
            "offset=x",
            "limit=x",
            "offset=-5",
            "limit=99999999999999999999",
            "deleted=maybe",
            "subjectPrefix=%00",
            "offset=99999999999999999999999",
        ],
    )
    async def test_strange_queries(self, anybody: Asked, query: str) -> None:
        """An answer or a refusal, never a failure."""
        for path in ("/subjects", "/schemas", "/contexts", "/schemas/ids/1/versions"):
            answer = await anybody.client.get(f"{path}?{query}")
            assert answer.status_code in {200, 404, 422}, (path, answer.text)
