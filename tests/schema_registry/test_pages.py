"""The catalogue: what people find at /registry/."""

import pytest

from schema_registry.domain.contracts import read_contracts
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
    assert "jiraId" in page


async def test_search_finds_fields(web: Web) -> None:
    """Words are looked for in names and in fields."""
    async with web.browser() as client:
        page = (await client.get("/", params={"search": "jiraid"})).text
        nothing = (await client.get("/", params={"search": "no such thing"})).text
    assert "TaskUpdated" in page
    assert "PayoutMade" not in page
    assert "No event fits" in nothing


async def test_in_russian(web: Web) -> None:
    """The catalogue speaks the reader's language."""
    async with web.browser(**{"Accept-Language": "ru"}) as client:
        assert "События" in (await client.get("/")).text


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
