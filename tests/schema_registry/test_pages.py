"""The catalogue: what people find at /registry/."""

import html
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schema_registry.domain.asyncapi import Surroundings, document, services_of
from schema_registry.domain.consuming_code import consuming_code
from schema_registry.domain.contracts import Contract, read_contracts
from schema_registry.domain.differences import COMPATIBLE, Kind
from schema_registry.domain.trying import faults_of
from schema_registry.pages.wording import meaning_of
from tests.schema_registry.conftest import Asked, Web, sent
from tests.support.schemas import SCHEMAS

CONTRACTS = read_contracts(SCHEMAS)


async def test_every_event_is_listed_with_its_topic_and_readers(web: Web) -> None:
    """One page shows all events by topic, without a sign-in."""
    async with web.browser() as client:
        page = (await client.get("/")).text
    for contract in CONTRACTS:
        assert contract.name in page
        assert contract.topic in page
        assert f"/registry/catalogue/{contract.producer}/{contract.folder}" in page


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda one: one.name)
async def test_pages_of_an_event(web: Web, contract: object) -> None:
    """Each version shows every field with its type, meaning and example."""
    assert contract in CONTRACTS
    found = CONTRACTS[CONTRACTS.index(contract)]
    async with web.browser() as client:
        for version in found.versions:
            answer = await client.get(f"/catalogue/{found.producer}/{found.folder}/{version.number}")
            assert answer.status_code == 200
            for name in version.schema["properties"]:
                assert f'id="field-{name}"' in answer.text
        assert (await client.get(f"/catalogue/{found.producer}/{found.folder}")).status_code == 200


async def test_what_changed_between_two_versions(web: Web) -> None:
    """The difference says who may move first, which rule decides, and shows the text."""
    async with web.browser() as client:
        page = (await client.get("/catalogue/tracker/task_created/changes?from=1&to=2")).text
    assert "May readers of v1 read v2?" in page
    assert "PATTERN_ADDED" in page
    assert "<code>jiraId</code>: not known to the reader, who lets unknown fields pass" in page
    assert "<code>title/maxLength</code>: a lower limit for the reader" in page


@pytest.mark.parametrize("kind", list(Kind))
def test_each_difference_is_said_in_words(kind: Kind) -> None:
    """People read what it means for the reader; what lets more pass is said so, and what lets less."""
    meaning = meaning_of(kind)
    assert meaning
    assert (meaning == "the reader takes more") <= (kind in COMPATIBLE)
    assert (meaning in {"the reader takes less", "demanded by the reader alone"}) <= (kind not in COMPATIBLE)
    assert (meaning == "not demanded by the reader") <= (kind in COMPATIBLE)


async def test_search_finds_fields(web: Web) -> None:
    """Words are looked for in names and in fields."""
    async with web.browser() as client:
        page = (await client.get("/", params={"search": "jiraid"})).text
        nothing = (await client.get("/", params={"search": "no such thing"})).text
    assert "TaskUpdated" in page
    assert "/registry/catalogue/tracker/task_created/2#field-jiraId" in page
    assert "PayoutMade" not in page
    assert "No event fits" in nothing


async def test_in_russian(web: Web) -> None:
    """The catalogue speaks the reader's language."""
    async with web.browser(**{"Accept-Language": "ru"}) as client:
        assert "События" in (await client.get("/")).text
        page = (await client.get("/catalogue/tracker/task_created/changes?from=1&to=2")).text
    assert "предел ниже" in page


async def test_limits_in_russian(web: Web) -> None:
    """What a value must keep to is told in the reader's language, too."""
    async with web.browser(**{"Accept-Language": "ru"}) as client:
        page = (await client.get("/catalogue/tracker/task_created/2")).text
    assert "не длиннее 200 знаков" in page
    assert "string или null" in page


async def test_subjects_of_others_are_listed_too(web: Web, asked: Asked) -> None:
    """What other programs registered can be found as well."""
    await asked.post("/subjects/other%20things/versions", sent({"type": "object"}))
    async with web.browser() as client:
        assert "other things" in (await client.get("/")).text


@pytest.mark.parametrize(
    "path", ["/catalogue/none/none", "/catalogue/tracker/task_created/9", "/catalogue/tracker/task_created/x"]
)
async def test_what_is_not_there(web: Web, path: str) -> None:
    """An unknown event or version is a page that says so."""
    async with web.browser() as client:
        answer = await client.get(path)
    assert answer.status_code in {404, 422}
    assert "text/html" in answer.headers["content-type"]


class TestTrying:
    path = "/catalogue/tracker/task_created/2"

    async def tried(self, web: Web, payload: str) -> str:
        async with web.browser() as client:
            answer = await client.post(f"{self.path}/try", data={"payload": payload})
        assert answer.status_code == 200
        return answer.text

    async def test_a_good_payload(self, web: Web) -> None:
        """The example of the version keeps its contract."""
        example = next(
            json.dumps(version.schema["examples"][0])
            for contract in CONTRACTS
            if contract.name == "TaskCreated"
            for version in contract.versions
            if version.number == 2
        )
        assert "This keeps the contract." in await self.tried(web, example)

    async def test_a_bad_one(self, web: Web) -> None:
        """Each fault is named with its path, formats among them; the text stays in the form."""
        page = await self.tried(web, '{"taskId": "no id", "title": 7}')
        assert "/taskId" in page
        assert "/title" in page
        assert "userGuid" in page
        assert "no id" in page

    @pytest.mark.parametrize("payload", ["{", "", "[" * 50_000, "<script>alert(1)</script>", "NaN"])
    async def test_what_is_no_json(self, web: Web, payload: str) -> None:
        """It says so, and shows nothing unescaped."""
        page = await self.tried(web, payload)
        assert "This is not JSON" in page or "breaks the contract" in page
        assert "<script>alert" not in page

    async def test_faults_in_russian(self, web: Web) -> None:
        """Rules, values and the place where JSON ends are told in the language of the page."""
        async with web.browser(**{"Accept-Language": "ru"}) as client:
            answers = [
                html.unescape((await client.post(f"{self.path}/try", data={"payload": payload})).text)
                for payload in ('{"taskId": "no id", "title": 7}', '{"title" 7}')
            ]
        assert 'должно быть: в формате uuid; здесь "no id"' in answers[0]
        assert "должно быть: типа string; здесь 7" in answers[0]
        assert "нет поля userGuid" in answers[0]
        assert "строка 1, знак 10: не хватает двоеточия" in answers[1]

    @pytest.mark.parametrize(
        ("schema", "value", "words"),
        [
            ({"enum": ["a", "b"]}, 1, "must be one of a, b, and is 1"),
            ({"maxItems": 1}, [1, 2], "must be a list of at most 1 item, and is [1, 2]"),
            ({"minItems": 2}, ["x" * 99], f'must be a list of at least 2 items, and is ["{"x" * 57}…'),
            ({"uniqueItems": True}, [1, 1], "must be a list without repetitions, and is [1, 1]"),
            ({"anyOf": [{"minimum": 2}, False]}, 1, "must be one of several alternatives, and is 1"),
            (
                {"oneOf": [True, True]},
                {"{a}": 1},
                'must be exactly one of several alternatives, and is {"{a}": 1}',
            ),
            ({"properties": {"a": {}}, "additionalProperties": False}, {"{b}": 1}, "not expected: {b}"),
            ({"additionalProperties": False}, {"a": 1}, "nothing may stand here"),
            ({"not": {}}, 1, "{} is not allowed for 1"),
        ],
        ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
    )
    def test_words_of_a_fault(self, schema: dict[str, Any], value: object, words: str) -> None:
        """The rule and the value; rare keywords in the validator's own words."""
        assert [fault.message for fault in faults_of(schema, json.dumps(value))] == [words]

    async def test_the_answer_opened_anew(self, web: Web) -> None:
        """Its address leads back to the form."""
        async with web.browser() as client:
            answer = await client.get(f"{self.path}/try")
        assert answer.status_code == 303
        assert answer.headers["Location"].endswith(f"{self.path}#try")


class TestReading:
    async def test_code_for_three_languages(self, web: Web) -> None:
        """Each program names the topic, the type and the registry of this exchange."""
        async with web.browser() as client:
            page = html.unescape((await client.get("/catalogue/tracker/task_created/1")).text)
        for word in ("KafkaConsumer", "kafkajs", "JSONDeserializer", "tracker.tasks.TaskCreated.v1"):
            assert word in page

    @pytest.mark.parametrize("contract", CONTRACTS, ids=lambda one: one.name)
    @pytest.mark.parametrize("framed", [True, False])
    def test_python_is_python(self, contract: Contract, framed: object) -> None:
        """What is copied can be run."""
        programs = consuming_code(
            contract,
            contract.latest,
            kafka_servers="localhost:9092",
            registry_url="http://r",
            framed=bool(framed),
        )
        assert [one.language for one in programs][:1] == ["Python"]
        for one in programs:
            assert "$" not in one.text.replace("${", "")
            if one.language.startswith("Python"):
                compile(one.text, one.language, "exec")

    async def test_a_version_that_will_end(self, web: Web) -> None:
        """Its page says until when it is said, and where to move."""
        async with web.browser() as client:
            assert "Move to v2" in (await client.get("/catalogue/tracker/task_created/1")).text
            assert "Move to v2" not in (await client.get("/catalogue/tracker/task_created/2")).text


class TestAsyncApi:
    @pytest.mark.parametrize("name", ["asyncapi", *(f"asyncapi/{one}" for one in services_of(CONTRACTS))])
    async def test_documents(self, web: Web, name: str) -> None:
        """JSON and YAML are the same document, and every reference of it leads to a place inside."""
        async with web.browser(Accept="*/*") as client:
            found = (await client.get(f"/catalogue/{name}.json")).json()
            text = (await client.get(f"/catalogue/{name}.yaml")).text
        assert yaml.safe_load(text) == found
        assert "&id" not in text
        for reference in references_in(found):
            place = found
            for part in reference.removeprefix("#/").split("/"):
                place = place[part]

    async def test_what_a_service_says_and_hears(self, web: Web) -> None:
        """The document of one service leaves out what is not its own business."""
        async with web.browser(Accept="*/*") as client:
            billing = (await client.get("/catalogue/asyncapi/billing.json")).json()
            assert (await client.get("/catalogue/asyncapi/nobody.json")).status_code == 404
        assert {"send-billing.ledger", "receive-tracker.tasks"} <= set(billing["operations"])
        assert "TaskCreatedV1" not in billing["components"]["messages"]

    def test_the_official_parser_takes_them(self, tmp_path: Path, node_modules: Path) -> None:
        """No error and no warning but that there is a newer version of AsyncAPI."""
        program = tmp_path / "check.mjs"
        program.write_text(
            f'import parser from "{node_modules}/@asyncapi/parser/cjs/index.js";\n'
            'import fs from "fs";\n'
            "const one = new parser.Parser();\n"
            "const said = [];\n"
            'for (const text of JSON.parse(fs.readFileSync(0, "utf8"))) {\n'
            "  const found = await one.parse(text);\n"
            "  said.push([!!found.document, found.diagnostics.map((fault) => fault.code)]);\n"
            "}\n"
            "console.log(JSON.stringify(said));\n"
        )
        surroundings = Surroundings(
            "localhost:9092,other:9092", "http://localhost:8081", {"auth.accounts": "plain"}
        )
        # The one of everything, and one of those that are a part of it: the parser takes its time.
        services = (None, "billing")
        asked = json.dumps([json.dumps(document(CONTRACTS, surroundings, one)) for one in services])
        node = ["node", str(program)]
        said = subprocess.run(node, input=asked, capture_output=True, text=True, check=True)
        for service, (known, codes) in zip(services, json.loads(said.stdout), strict=True):
            assert known, service
            assert set(codes) <= {"asyncapi-latest-version"}, service


def references_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references_in(inner)
