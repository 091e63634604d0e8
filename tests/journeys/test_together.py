"""All services in one process: the same exchange, in the other of its two shapes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from service_kit.together import Place
from tests.support import engines
from tests.support.exchange import Exchange, Person, staffed
from tests.support.running import eventually

pytestmark = [pytest.mark.journey, pytest.mark.slow]

TASKS = 12


@pytest.fixture
async def together(run_folder: Path) -> AsyncIterator[Exchange]:
    folder = run_folder / "together"
    folder.mkdir()
    running = Exchange(folder / "exchange")
    with engines.postgres(folder) as server, engines.kafka(folder) as broker:
        try:
            running.up("--together", "--no-demo", "--database-url", server.dsn(), "--kafka", broker.address)
            yield running
        finally:
            running.ates("down", check=False)


async def test_work_becomes_money_and_a_result_and_a_killed_process_loses_nothing(together: Exchange) -> None:
    assert {entry["name"] for entry in together.status["processes"]} == {"gateway", "services"}
    async with httpx2.AsyncClient(timeout=30) as client:
        people = await staffed(together, client)
        by_guid = {person.guid: person for person in people.values()}
        tasks = [await created(people["manager"], number) for number in range(TASKS)]
        for task in tasks[: TASKS // 2]:
            await completed(by_guid[task["assignee_id"]], task)

        together.kill("services")
        await eventually(together.all_ready, within_s=90, every_s=0.3)
        for task in tasks[TASKS // 2 :]:
            await completed(by_guid[task["assignee_id"]], task)

        await asyncio.to_thread(together.ates, "night")
        entries = await together.rows("billing", "select kind, count(*) from journal_entries group by kind")
        counted = dict(map(tuple, entries))
        assert (counted["fee"], counted["reward"]) == (TASKS, TASKS)
        (day,) = await together.rows("analytics", "select * from day_results")
        assert day["rewards_cents"] > day["fees_cents"] > 0
    assert "agree" in await asyncio.to_thread(together.ates, "reconcile")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nobody:8001", "nobody is no service"),
        ("json:8001", "json is no service"),
        ("tracker", "tracker is not package:web port"),
        ("tracker:web", "tracker:web is not package:web port"),
    ],
)
def test_a_place_that_is_none_is_refused_in_a_sentence(place: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Place.parse(place)


async def created(manager: Person, number: int) -> dict[str, str]:
    answer = await manager.post("/tracker/api/v1/tasks", json={"title": f"Task {number} of one process"})
    assert answer.status_code == httpx2.codes.CREATED, answer.text
    task: dict[str, str] = answer.json()
    return task


async def completed(worker: Person, task: dict[str, str]) -> None:
    answer = await worker.post(f"/tracker/api/v1/tasks/{task['id']}/complete")
    assert answer.status_code == httpx2.codes.OK, answer.text
