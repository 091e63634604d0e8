"""Answers from memory are never older than the last change."""

import asyncio

from prometheus_client import REGISTRY

from schema_registry import app
from schema_registry.api.kept_answers import Changes
from tests.schema_registry.conftest import Asked, Web, an_object, sent

STRING = an_object(a={"type": "string"})


def given(method: str) -> float:
    return REGISTRY.get_sample_value("ates_registry_kept_answers_total", {"method": method}) or 0


async def hearing(changes: Changes) -> None:
    """Wait until a process hears of changes."""
    async with asyncio.timeout(10):
        while not changes.hearing:
            await asyncio.sleep(0.01)


async def test_the_second_answer_comes_from_memory(web: Web, asked: Asked) -> None:
    """Reading, looking up and registering what is there are asked of the database once."""
    changes: Changes = web.app.state.changes
    await hearing(changes)
    count = changes.count
    first = await asked.post("/subjects/t/versions", sent(STRING))
    # It knows of its own change at once, and hears of it from the database a moment later.
    async with asyncio.timeout(10):
        while changes.count < count + 2:
            await asyncio.sleep(0.01)
    for path in (f"/schemas/ids/{first['id']}", "/subjects/t/versions/latest"):
        known = await asked.get(path)
        before = given("GET")
        assert await asked.get(path) == known
        assert given("GET") == before + 1
    for path in ("/subjects/t/versions", "/subjects/t"):
        known = await asked.post(path, sent(STRING))
        before = given("POST")
        assert await asked.post(path, sent(STRING)) == known
        assert given("POST") == before + 1


async def test_whoever_changes_something_sees_it_changed(web: Web, asked: Asked) -> None:
    """The next question after a change is never answered from before it."""
    await hearing(web.app.state.changes)
    for number in range(1, 6):
        await asked.post("/subjects/t/versions", sent(STRING | {"title": str(number)}))
        assert await asked.get("/subjects/t/versions") == list(range(1, number + 1))
        assert (await asked.get("/subjects/t/versions/latest"))["version"] == number


async def test_other_processes_hear_of_changes(web: Web, asked: Asked) -> None:
    """What one process changed is soon answered by the others."""
    other = app.web(web.settings)
    async with other.router.lifespan_context(other):
        beside = Asked(Web(other, web.settings, web.key).own_port())
        await hearing(other.state.changes)
        assert "t" not in await beside.get("/subjects")
        await asked.post("/subjects/t/versions", sent(STRING))
        async with asyncio.timeout(10):
            while "t" not in await beside.get("/subjects"):
                await asyncio.sleep(0.01)
        await beside.client.aclose()


async def test_refusals_are_not_kept(web: Web, asked: Asked) -> None:
    """What is not there now may be there at the next question."""
    await hearing(web.app.state.changes)
    for _ in range(2):
        before = given("GET")
        assert await asked.refused("GET", "/subjects/none/versions") == (404, 40401)
        assert given("GET") == before


async def test_a_deaf_process_keeps_nothing(web: Web, asked: Asked) -> None:
    """Without a way to hear of changes every question goes to the database."""
    await hearing(web.app.state.changes)
    web.app.state.changes.deaf()
    before = given("GET")
    for _ in range(3):
        await asked.get("/subjects")
    assert given("GET") == before
