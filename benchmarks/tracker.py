"""The tracker at scale: Distribute over a million open tasks; lists and completing with few and with many.

Works in a database of its own on the running exchange's PostgreSQL, with the commands and queries that the
tracker's processes run; nothing of it reaches the broker. The limits measured beside them: the same rows
changed by one bare UPDATE, the same page read by one bare SELECT, the same task completed by one bare UPDATE.
While it distributes, tasks are completed at a steady rate, and each is measured from the moment it was due.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import psutil
import uvloop

from local_stack.credentials import Credentials
from local_stack.engines.postgres import Postgres
from local_stack.environment import database_url, environment
from local_stack.home import Home
from local_stack.services import SERVICES
from local_stack.state import State
from service_kit import migrating
from service_kit.clock import SystemClock
from service_kit.context import Context
from service_kit.database import Database
from service_kit.paging import PageRequest
from service_kit.roles import CurrentUser, Role
from service_kit.schema_client import SchemaClient
from tracker import commands, domain, queries
from tracker.domain import Status, TaskFilter
from tracker.events import SAYS
from tracker.settings import TrackerSettings

SCRATCH = "bench_tracker"
WORKERS = 10_000
SMALL, LARGE = 10_000, 1_000_000
GOALS = {
    "distribute_s": 30.0,
    "complete_during_p99_ms": 500.0,
    "page_p95_ms": 100.0,
    "complete_p95_ms": 100.0,
}
COMPLETIONS_PER_S = 20
TIMES = 200
WORDS = ("feed", "paint", "mend", "клетка", "попугай", "perch", "swing", "зеркало", "seed", "water")

BARE_PAGE = "select * from tasks where assignee_id = $1 and status = 'open' order by id desc limit 51"
BARE_COMPLETION = "update tasks set status = 'done', completed_at = now() where id = $1 and status = 'open'"
EMPTY = """
set session_replication_role = replica;
truncate tasks, task_search, task_history, distribution_parts, distributions, accounts, outbox cascade
"""
FILL_ACCOUNTS = """
insert into accounts (id, role, role_changed_at, active)
select uuidv7(), 'worker', now(), true from generate_series(1, $1::int)
"""
FILL_TASKS = """
insert into tasks (id, title, jira_id, description, status, assignee_id, cycle, assigned_at, created_by,
                   created_at, version, fee_cents, reward_cents)
select uuidv7(), ($2::text[])[1 + n % 10] || ' ' || ($2::text[])[1 + (n / 10) % 10] || ' ' || n, 'KEY-' || n,
       '', 'open', people.ids[1 + (hashint4(n::int) & 2147483647) % array_length(people.ids, 1)], 1, now(),
       people.ids[1], now(), 1, 1000 + n % 1001, 2000 + n % 2001
from generate_series(1, $1::bigint) n, (select array_agg(id order by id) as ids from accounts) people
"""
FILL_SEARCH = """
insert into task_search (task_id, jira_id, created_at, document)
select id, jira_id, created_at, array_to_tsvector(search_words(title)) from tasks
"""


class Stage:
    """A scratch database on the running exchange's server, and what the tracker's processes are told."""

    def __init__(self) -> None:
        home = Home.of_environment()
        state = State.read(home)
        if state is None:
            raise SystemExit("No exchange is running; start one with ./ates up.")
        credentials = Credentials(home.secrets_file)
        service = next(one for one in SERVICES if one.name == "tracker")
        for name, value in environment(service, home, state.layout, credentials).items():
            os.environ.setdefault(name, value)
        self._server = Postgres(home.postgres, state.layout.postgres, credentials.postgres)
        layout = state.layout
        self.owner_url = scratch(database_url(service, "owner", layout, credentials))
        os.environ["TRACKER_DATABASE_URL"] = scratch(database_url(service, "service", layout, credentials))
        self.settings = TrackerSettings()

    async def execute(self, sql: str, *arguments: object, database: str = SCRATCH) -> None:
        connection = await asyncpg.connect(self._server.dsn(database))
        try:
            await connection.execute(sql, *arguments, timeout=600)
        finally:
            await connection.close()

    async def value(self, sql: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(self._server.dsn(SCRATCH))
        try:
            return await connection.fetchval(sql, *arguments, timeout=600)
        finally:
            await connection.close()

    async def fill(self, tasks: int) -> None:
        await self.execute(EMPTY)
        await self.execute(FILL_ACCOUNTS, WORKERS)
        await self.execute(FILL_TASKS, tasks, list(WORDS))
        await self.execute(FILL_SEARCH)
        await self.execute("vacuum analyze")


def scratch(url: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{SCRATCH}"


@asynccontextmanager
async def staged() -> AsyncIterator[tuple[Stage, Database]]:
    stage = Stage()
    await stage.execute(f"drop database if exists {SCRATCH} with (force)", database="postgres")
    await stage.execute(f"create database {SCRATCH} owner tracker_owner", database="postgres")
    try:
        await asyncio.to_thread(migrating.upgrade, "tracker", "tracker", stage.owner_url)
        settings = stage.settings
        schemas = SchemaClient(settings.registry_url)
        await schemas.load(SAYS)
        context = Context(settings, SystemClock.of(settings), schemas)
        database = Database(settings.database_url.get_secret_value(), context=context, name="tracker-bench")
        try:
            yield stage, database
        finally:
            await database.close()
    finally:
        await stage.execute(f"drop database if exists {SCRATCH} with (force)", database="postgres")


async def distribute(stage: Stage, database: Database) -> dict[str, Any]:
    """Press Distribute over all open tasks while others are completed."""
    manager = CurrentUser(guid=UUID(int=1), role=Role.MANAGER)
    sample = await open_tasks(database, COMPLETIONS_PER_S * 60)
    async with database.transaction() as session:
        await commands.request_distribution(session, manager)
    dice = domain.fair_dice()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    own_before, server_before = time.process_time(), await server_cpu_s(stage)
    stop = asyncio.Event()
    completing = asyncio.create_task(complete_steadily(database, sample, stop))
    begun = time.perf_counter()
    async with database.transaction() as session:
        await commands.cut_distribution(session, size=stage.settings.distribution_chunk)

    async def deal() -> None:
        dealt: int | None = 0
        while dealt is not None:
            async with database.transaction() as session:
                dealt = await commands.deal_distribution_part(session, random=dice)

    await asyncio.gather(*(deal() for _ in range(stage.settings.distribution_hands)))
    async with database.transaction() as session:
        found = await commands.finish_distribution(session)
    assert found is not None  # noqa: S101  nobody else works in this database
    took = time.perf_counter() - begun
    stop.set()
    waits_ms = await completing
    own_s, server_s = time.process_time() - own_before, await server_cpu_s(stage) - server_before
    shares = await stage.value("select count(distinct assignee_id) from tasks where status = 'open'")
    return {
        "tasks": found.tasks_assigned,
        "workers": WORKERS,
        "workers_with_tasks": shares,
        "seconds": round(took, 1),
        "per_s": round(found.tasks_assigned / took),
        "cpu_s": {"process": round(own_s, 1), "postgres": round(server_s, 1)},
        "memory_grew_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
        "complete_during_ms": percentiles(waits_ms),
    }


async def server_cpu_s(stage: Stage) -> float:
    """What the server's processes for this database have used of the processor; they outlive the run."""
    pids = await stage.value(
        "select array_agg(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()", SCRATCH
    )
    times = [psutil.Process(pid).cpu_times() for pid in pids or []]
    return sum(one.user + one.system for one in times)


async def open_tasks(database: Database, count: int) -> list[tuple[UUID, UUID]]:
    """Open tasks and whose they are, from the end of the list: the run comes to them last."""
    found: list[tuple[UUID, UUID]] = []
    cursor = None
    async with database.reading() as session:
        while len(found) < count:
            page = await queries.tasks(session, PageRequest(200, cursor), TaskFilter(status=Status.OPEN))
            found += [(task.id, task.assignee_id) for task in page.items]
            cursor = page.next
            if cursor is None:
                break
    return found


async def complete(database: Database, task_id: UUID, assignee_id: UUID) -> None:
    async with database.transaction() as session:
        await commands.complete_task(session, CurrentUser(guid=assignee_id, role=Role.WORKER), task_id)


async def complete_steadily(
    database: Database, tasks: list[tuple[UUID, UUID]], stop: asyncio.Event
) -> list[float]:
    """Complete at a fixed rate until told to stop; milliseconds from the moment each was due."""
    waits_ms: list[float] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(task_id: UUID, assignee_id: UUID, due: float) -> None:
        # Where the run was faster, whoever has the task now completes it.
        with contextlib.suppress(domain.NotTheAssignee):
            await complete(database, task_id, assignee_id)
        waits_ms.append((time.perf_counter() - due) * 1000)

    begun = time.perf_counter()
    for number, (task_id, assignee_id) in enumerate(tasks):
        due = begun + number / COMPLETIONS_PER_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.0, due - time.perf_counter()))
        if stop.is_set():
            break
        task = asyncio.create_task(one(task_id, assignee_id, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return waits_ms


async def timed(times: int, action: Callable[[int], Awaitable[object]]) -> dict[str, float]:
    took = []
    for number in range(times):
        begun = time.perf_counter()
        await action(number)
        took.append((time.perf_counter() - begun) * 1000)
    return percentiles(took)


async def single(stage: Stage, database: Database) -> dict[str, Any]:
    """Lists and completing, one after the other, beside the bare statements."""
    sample = await open_tasks(database, TIMES)
    someone = sample[0][1]

    async def page(wanted: TaskFilter) -> None:
        async with database.reading() as session:
            await queries.tasks(session, PageRequest(50), wanted)

    bare = await asyncpg.connect(stage.settings.database_url.get_secret_value())
    try:
        return {
            "my_tasks": await timed(
                TIMES, lambda _n: page(TaskFilter(status=Status.OPEN, assignee_id=someone))
            ),
            "all_tasks": await timed(TIMES, lambda _n: page(TaskFilter())),
            "search_rare": await timed(TIMES, lambda n: page(TaskFilter(search=f"{n + 1} попугаем"))),
            "search_key": await timed(TIMES, lambda n: page(TaskFilter(search=f"key-{n + 5000}"))),
            "search_common": await timed(20, lambda _n: page(TaskFilter(search="зеркала"))),
            "bare_select": await timed(
                TIMES,
                lambda _n: bare.fetch(
                    BARE_PAGE,
                    someone,
                ),
            ),
            "complete": await timed(TIMES // 2, lambda n: complete(database, *sample[n])),
            "bare_update": await timed(
                TIMES // 2,
                lambda n: bare.execute(
                    BARE_COMPLETION,
                    sample[TIMES // 2 + n][0],
                ),
            ),
        }
    finally:
        await bare.close()


async def bare_distribution(stage: Stage) -> float:
    """The least that has to be done: every open row changed by one statement, no history, no facts."""
    begun = time.perf_counter()
    await stage.execute(
        """
        update tasks set cycle = cycle + 1, assigned_at = now(),
            assignee_id = people.ids[1 + (random() * (array_length(people.ids, 1) - 1))::int]
        from (select array_agg(id) as ids from accounts) people where status = 'open'
        """
    )
    return round(time.perf_counter() - begun, 1)


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)

    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": round(ordered[-1], 1)}


async def measure(large: int) -> dict[str, Any]:
    found: dict[str, Any] = {"benchmark": "tracker", "cores": os.cpu_count(), "goals": GOALS}
    async with staged() as (stage, database):
        for tasks in (SMALL, large):
            await stage.fill(tasks)
            found[f"with_{tasks}_tasks"] = await single(stage, database)
        found["distribute"] = await distribute(stage, database)
        await stage.execute("vacuum analyze")
        found["bare_update_of_all_s"] = await bare_distribution(stage)
    small, big = found[f"with_{SMALL}_tasks"], found[f"with_{large}_tasks"]
    found["growth"] = {name: round(big[name]["p50"] / small[name]["p50"], 2) for name in small}
    found["distribute_by_bare"] = round(found["distribute"]["seconds"] / found["bare_update_of_all_s"], 2)
    found["distribute_by_goal"] = round(found["distribute"]["seconds"] / GOALS["distribute_s"], 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=LARGE)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = uvloop.run(measure(options.tasks))
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        if name.startswith("with_"):
            print(name.replace("_", " "))
            for step, times in value.items():
                print(
                    f"  {step:14} p50 {times['p50']:7} ms  p95 {times['p95']:7} ms  p99 {times['p99']:7} ms"
                )
    run = found["distribute"]
    print(f"distribute     {run['tasks']} tasks over {run['workers']} workers in {run['seconds']} s")
    print(f"  by the goal of {GOALS['distribute_s']:.0f} s: {found['distribute_by_goal']}")
    print(f"  one bare UPDATE of the same rows: {found['bare_update_of_all_s']} s")
    print(f"  ratio to it: {found['distribute_by_bare']}")
    print(
        f"  processor: {run['cpu_s']['process']} s of the process, {run['cpu_s']['postgres']} s of PostgreSQL"
    )
    print(f"  completing meanwhile p99 {run['complete_during_ms']['p99']} ms")
    print(f"  memory grew by {run['memory_grew_mb']} MB")


if __name__ == "__main__":
    main()
