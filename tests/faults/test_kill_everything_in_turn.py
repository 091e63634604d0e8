"""Whatever dies while people work: every fact arrives, in order per task, once, and the books agree."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.support.exchange import Exchange, Person, staffed
from tests.support.running import eventually

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TASKS = 220
VICTIMS = ("tracker-worker", "billing-worker", "kafka", "analytics-worker", "auth-worker")
"""The relay runs in the workers: killing the tracker's worker kills the relay of the task events."""


@pytest.fixture
async def exchange(run_folder: Path) -> AsyncIterator[Exchange]:
    running = Exchange(run_folder / "stormy")
    running.up("--no-demo")
    try:
        yield running
    finally:
        running.ates("down")


async def test_the_money_loop_survives_every_kill(exchange: Exchange) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        everybody = await staffed(exchange, client)
        by_guid = {person.guid: person for person in everybody.values()}

        killing = asyncio.create_task(kill_in_turn(exchange))
        completed = await work(everybody["manager"], by_guid)
        await killing
        assert len(completed) >= 200

        await eventually(lambda: settled(exchange), within_s=120, every_s=0.3)
        await facts_arrived_once_and_in_order(exchange)
        verdict = await asyncio.to_thread(exchange.command_of, "billing", "verify")
        assert verdict.returncode == 0, verdict.stdout + verdict.stderr

        today = exchange.status["business_time"]
        await asyncio.to_thread(exchange.ates, "night")
        await said_and_heard_results_agree(exchange, everybody["admin"])
        assert exchange.status["business_time"] > today


async def work(manager: Person, by_guid: dict[str, Person]) -> list[str]:
    """Create tasks and complete most of them at once, while things die; an answer given must hold."""
    dice = random.Random(11)
    done: list[str] = []
    for number in range(TASKS):
        answer = await manager.post("/tracker/api/v1/tasks", json={"title": f"Task {number} of the storm"})
        assert answer.status_code == 201, answer.text
        task = answer.json()
        if number % 60 == 59:
            assert (await manager.post("/tracker/api/v1/distributions")).status_code == 202
        if dice.random() < 0.95:
            done += await complete(manager, by_guid, task["id"])
        await asyncio.sleep(0.05)
    return done


async def complete(manager: Person, by_guid: dict[str, Person], task_id: str) -> list[str]:
    """As the assignee, who may change under our hands while a distribution runs."""
    for _ in range(50):
        task: dict[str, Any] = (await manager.get(f"/tracker/api/v1/tasks/{task_id}")).json()
        answer = await by_guid[task["assignee_id"]].post(f"/tracker/api/v1/tasks/{task_id}/complete")
        if answer.status_code == 200:
            return [task_id]
        assert answer.json()["code"] == "not_the_assignee", answer.text
    return []


async def kill_in_turn(exchange: Exchange) -> None:
    for victim in VICTIMS:
        await asyncio.to_thread(exchange.kill, victim)
        await eventually(exchange.all_ready, within_s=90, every_s=0.3)


async def settled(exchange: Exchange) -> bool:
    """Everything the tracker said is in billing, everything both said is in analytics."""
    said = await exchange.rows(
        "tracker", "select count(distinct event_id) from outbox where topic like '%.tasks'"
    )
    heard = await exchange.rows("billing", "select count(*) from inbox where topic = 'tracker.tasks'")
    money = await exchange.rows(
        "billing", "select count(distinct event_id) from outbox where topic like '%.ledger'"
    )
    seen = await exchange.rows("analytics", "select count(*) from inbox where topic = 'billing.ledger'")
    unread = await exchange.rows(
        "tracker", "select count(distinct event_id) from outbox where name = 'TaskUpdated'"
    )
    return bool(heard[0][0] >= said[0][0] - unread[0][0] and seen[0][0] >= money[0][0])


async def facts_arrived_once_and_in_order(exchange: Exchange) -> None:
    said: dict[str, list[UUID]] = defaultdict(list)
    rows = await exchange.rows(
        "tracker", "select key, event_id from outbox where topic = 'tracker.tasks' order by id"
    )
    for row in rows:
        if row["event_id"] not in said[row["key"]]:
            said[row["key"]].append(row["event_id"])
    heard: dict[str, list[UUID]] = defaultdict(list)
    query = "select key, event_id from inbox where topic = 'tracker.tasks' order by partition, \"offset\""
    for row in await exchange.rows("billing", query):
        heard[row["key"]].append(row["event_id"])
    assert heard == said
    doubled = await exchange.rows(
        "billing", "select event_id from journal_entries group by event_id having count(*) > 1"
    )
    assert doubled == []
    assigned = await exchange.rows("tracker", "select count(*) from outbox where name = 'TaskAssigned'")
    completed = await exchange.rows("tracker", "select count(*) from outbox where name = 'TaskCompleted'")
    entries = await exchange.rows("billing", "select kind, count(*) from journal_entries group by kind")
    assert dict(map(tuple, entries)) == {"fee": assigned[0][0], "reward": completed[0][0]}


async def said_and_heard_results_agree(exchange: Exchange, admin: Person) -> None:
    rows = await exchange.rows(
        "billing", "select data from outbox where name = 'DayResult' and version = 2 order by id desc limit 1"
    )
    said = json.loads(rows[0]["data"])
    day = said["businessDate"]
    answer = await admin.get("/analytics/api/v1/days", params={"from": day, "to": day})
    (shown,) = answer.json()["items"]
    assert (shown["income_cents"], shown["fees_cents"], shown["rewards_cents"]) == (
        said["income"],
        said["feesCents"],
        said["rewardsCents"],
    )
