"""Closing a day: how long it takes, and how long a fact that comes meanwhile waits to be posted.

Starts engines of its own in a folder that is deleted afterwards. The ledger is filled through the function
that posts: 60 of 100 accounts end the day with a positive balance, the others with a debt. Then the day is
closed as billing's worker does it, in one process with a poster that posts an assignment of the next day to
one of these accounts every 20 ms. Afterwards `billing verify` must find nothing, else the
figure is void. The limit measured beside it is COPY alone writing the tables, as they stand then, into tables
of the same shape.
"""

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from benchmarks._stage import Stage, engines, service
from benchmarks.backbone import copy_alone, schema_ids
from billing import commands, queries
from billing.domain import COMPANY
from billing.events import SAYS, TaskAssigned
from billing.settings import BillingSettings
from billing.worker import close_next
from local_stack.environment import environment
from local_stack.services import BILLING, REGISTRY
from service_kit.clock import FixedClock
from service_kit.collecting import leave_alone_what_is_loaded
from service_kit.context import Context
from service_kit.database import Database
from service_kit.events import Received
from service_kit.ids import new_id
from service_kit.schema_client import SchemaClient

GOALS = {10_000: 0.6, 100_000: 5.0}
GOAL_DELAY_S = 1.0
POSITIVE_OF_100 = 60
NOON = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
FILL_AT_ONCE = 5_000
POST_EVERY_S = 0.02
WRITTEN = ("journal_entries", "postings", "payouts", "letters", "outbox")

FILL = """
select post_entries($1, $2, $3::json, $4::uuid[], 'Europe/Moscow', array[$5::date], array[$6::timestamptz],
    false, '', '', 0, 0, '')
"""


async def fill(stage: Stage, workers: Sequence[UUID]) -> None:
    """One entry for each account: a reward for those who end with money, a fee for the others."""
    accounts = len(workers)
    connection = await asyncpg.connect(stage.superuser(BILLING.name))
    day = NOON.date()
    try:
        for first in range(0, accounts, FILL_AT_ONCE):
            numbers = range(first, min(first + FILL_AT_ONCE, accounts))
            tasks = [new_id() for _ in numbers]
            await connection.executemany(
                "insert into task_prices values ($1, 1500, 3000, $2)", [(task, NOON) for task in tasks]
            )
            owners = [workers[number] for number in numbers]
            moves = [
                {
                    "event_id": new_id(),
                    "entry_id": new_id(),
                    "kind": "reward" if number % 100 < POSITIVE_OF_100 else "fee",
                    "task_id": task,
                    "cycle": 1,
                    "worker": owner,
                    "moment": NOON,
                    "own_date": day,
                }
                for number, task, owner in zip(numbers, tasks, owners, strict=True)
            ]
            told = orjson.dumps(moves).decode()
            await connection.execute(FILL, COMPANY, NOON, told, owners, day, MIDNIGHT - timedelta(days=1))
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


class Poster:
    """Posts one assignment after the other and notes how long each took from the moment it was due."""

    def __init__(self, database: Database, workers: Sequence[UUID]) -> None:
        self._database = database
        self._workers = workers
        self._random = random.Random(1)
        self.waits: list[float] = []

    async def run(self) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            async with self._database.transaction() as session:
                await commands.post_task_facts(session, [_assignment(self._random.choice(self._workers))])
            self.waits.append(time.monotonic() - due)
            due = max(due + POST_EVERY_S, time.monotonic())


def _assignment(worker: UUID) -> Received[TaskAssigned]:
    moment = MIDNIGHT + timedelta(minutes=2)
    fact = TaskAssigned(task_id=new_id(), user_guid=worker, cycle=1, assigned_at=moment)
    return Received(
        data=fact,
        event_id=new_id(),
        occurred_at=moment,
        key=str(fact.task_id),
        correlation_id=None,
        topic=fact.topic,
        partition=0,
        offset=0,
        sent_at=moment,
        raw=fact.to_json(),
    )


def _database(settings: BillingSettings, schemas: SchemaClient) -> Database:
    context = Context(settings, FixedClock(MIDNIGHT + timedelta(minutes=2)), schemas)
    return Database(
        settings.database_url.get_secret_value(), pool_size=8, context=context, name="bench-close"
    )


async def close(stage: Stage, workers: Sequence[UUID]) -> dict[str, Any]:
    told = environment(BILLING, stage.home, stage.layout, stage.credentials)
    os.environ |= told
    settings = BillingSettings()
    schemas = SchemaClient.configured(settings)
    await schemas.load(SAYS)
    database = _database(settings, schemas)
    poster = Poster(database, workers)
    leave_alone_what_is_loaded()
    accounts = len(workers)
    try:
        posting = asyncio.create_task(poster.run())
        while len(poster.waits) < 50:  # noqa: ASYNC110, PLR2004 - the poster is warm then
            await asyncio.sleep(POST_EVERY_S)
        usual = sorted(poster.waits)[len(poster.waits) // 2]
        poster.waits.clear()
        began, processor = time.monotonic(), time.process_time()
        closed = await close_next(database)
        seconds, processor = time.monotonic() - began, time.process_time() - processor
        await asyncio.sleep(POST_EVERY_S * 5)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        if len(closed) != 1:
            raise RuntimeError(f"{len(closed)} days were closed")
        async with database.reading() as session:
            problems = await queries.differences(session)
        if problems:
            raise RuntimeError(f"the figure is void: {problems[:3]}")
    finally:
        await database.close()
    copied = await copy_alone(stage, WRITTEN)
    return {
        "accounts": accounts,
        "close_s": round(seconds, 2),
        "goal_s": GOALS.get(accounts),
        "own_processor_s": round(processor, 2),
        "posting_usual_ms": round(usual * 1000, 1),
        "posting_delayed_s": round(max(poster.waits), 2),
        "goal_delay_s": GOAL_DELAY_S,
        "copy_alone_s": round(copied, 2),
        "by_copy": round(seconds / copied, 2),
    }


async def measure(accounts: int) -> dict[str, Any]:
    async with engines() as stage:
        web = service(stage, REGISTRY, "web", "--port", str(stage.layout.web["registry"]))
        async with web:
            await schema_ids(stage)
            workers = [new_id() for _ in range(accounts)]
            await fill(stage, workers)
            return await close(stage, workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="*", default=list(GOALS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [asyncio.run(measure(count)) for count in options.accounts]
    if options.json:
        print(json.dumps({"benchmark": "close", "runs": runs}))
        return
    for run in runs:
        print("  ".join(f"{name} {value}" for name, value in run.items()))


if __name__ == "__main__":
    main()
