"""With many tasks: which index each list reads, and that a distribution stays fair and whole."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event

from service_kit.identity import CurrentUser, Role
from service_kit.paging import PageRequest
from tests.support.services import Service
from tests.tracker.makers import a_person, cut, request_distribution, run_to_the_end
from tracker import commands, queries
from tracker.domain import Status, TaskFilter

TASKS = 30_000
PEOPLE = 50
OLD = 400
"""The first of them say something that none of the others do."""

FILL = """
insert into accounts (id, role, role_changed_at, active)
select uuidv7(), 'worker', now(), true from generate_series(1, {people});
insert into tasks (id, title, jira_id, description, status, assignee_id, cycle, assigned_at, created_by,
                   created_at, completed_at, version)
select uuidv7(), case when n <= {old} then 'Mend perch ' else 'Feed parrot ' end || n, 'KEY-' || n, '',
       case when n % 2 = 0 then 'done' else 'open' end, people.ids[1 + n % {people}], 1, now(), people.ids[1],
       now(), case when n % 2 = 0 then now() end, 1
from generate_series(1, {tasks}) n, (select array_agg(id order by id) as ids from accounts) people;
insert into task_search select id, jira_id, created_at, array_to_tsvector(search_words(title)) from tasks;
analyze;
"""


@pytest.fixture
async def many(tracker: Service) -> AsyncIterator[UUID]:
    """Many tasks; answers whose some of them are."""
    connection = await asyncpg.connect(tracker.addresses.superuser)
    try:
        await connection.execute(FILL.format(tasks=TASKS, people=PEOPLE, old=OLD))
        yield await connection.fetchval("select assignee_id from tasks where status = 'open' limit 1")
    finally:
        await connection.close()


PAGE = PageRequest(limit=50)


@pytest.mark.slow
async def test_no_list_reads_all_tasks(tracker: Service, many: UUID) -> None:
    mine = CurrentUser(guid=many, role=Role.WORKER)
    reads: dict[str, Callable[..., object]] = {
        "my tasks": lambda session: queries.lines(
            session, PAGE, TaskFilter(status=Status.OPEN, assignee_id=mine.guid)
        ),
        "all tasks": lambda session: queries.lines(session, PAGE, TaskFilter()),
        "open tasks": lambda session: queries.tasks(session, PAGE, TaskFilter(status=Status.OPEN)),
        "by a rare word": lambda session: queries.tasks(session, PAGE, TaskFilter(search="29999")),
        "by a common word": lambda session: queries.tasks(session, PAGE, TaskFilter(search="parrots")),
        "by the beginning of all keys": lambda session: queries.tasks(
            session, PAGE, TaskFilter(search="key", status=Status.OPEN)
        ),
        "by a key": lambda session: queries.tasks(session, PAGE, TaskFilter(search="key-29")),
        "same key": lambda session: queries.open_with_key(session, "KEY-7"),
        "done today": lambda session: queries.done_today(session, mine.guid),
        "ever done": lambda session: queries.done(session, mine.guid, PAGE),
    }
    plans = {name: await plans_of(tracker, read) for name, read in reads.items()}
    whole = {name: plan for name, plan in plans.items() if "Seq Scan on tasks" in plan or not plan}
    assert whole == {}


@pytest.mark.slow
async def test_a_common_word_is_found_at_the_top_of_the_list_and_not_by_all_its_hits(
    tracker: Service, many: UUID
) -> None:
    for wanted in (TaskFilter(search="parrots"), TaskFilter(search="key-", assignee_id=many)):
        plan = await plans_of(tracker, partial(queries.tasks, page=PAGE, wanted=wanted))
        assert "ix_task_search_document" not in plan
        assert "Index Scan using pk_task_search" in plan or "Index Scan using task_search_pkey" in plan


@pytest.mark.slow
async def test_what_lies_far_back_is_found_page_by_page_and_in_order(tracker: Service, many: UUID) -> None:
    found: list[UUID] = []
    cursor = None
    async with tracker.reading() as session:
        for _page in range(3):
            wanted = TaskFilter(search="perches", status=Status.OPEN)
            page = await queries.tasks(session, PageRequest(limit=7, cursor=cursor), wanted)
            found += [task.id for task in page.items]
            cursor = page.next
    expected = (
        "select id from tasks where status = 'open' and title like 'Mend perch%' order by id desc limit 21"
    )
    assert found == list(await tracker.scalar(f"select array({expected})"))


@pytest.mark.slow
async def test_completing_reads_and_locks_one_row_by_its_key(tracker: Service, many: UUID) -> None:
    async with tracker.reading() as session:
        page = await queries.tasks(session, PAGE, TaskFilter(status=Status.OPEN, assignee_id=many))

    async def complete(session: object) -> None:
        actor = CurrentUser(guid=many, role=Role.WORKER)
        await commands.complete_task(session, actor, page.items[0].id)  # type: ignore[arg-type]

    plan = await plans_of(tracker, complete)
    assert re.search(r"Update on tasks .*\n.*Index Scan .*\n.*Index Cond: .*\(id = ", plan)
    assert "Seq Scan on tasks" not in plan


@pytest.mark.slow
async def test_a_large_distribution_is_uniform_and_moves_every_open_task_once(
    tracker: Service, many: UUID
) -> None:
    manager = await a_person(tracker, Role.MANAGER)
    await request_distribution(tracker, manager)
    await run_to_the_end(tracker, size=4000, seed=7)
    open_tasks = TASKS // 2
    assert (
        await tracker.scalar("select count(*) from tasks where status = 'open' and cycle = 2") == open_tasks
    )
    assert (
        await tracker.scalar("select count(*) from tasks where status = 'done' and cycle = 1") == open_tasks
    )
    assert await tracker.scalar("select count(distinct key) from outbox") == open_tasks
    async with tracker.reading() as session:
        run = (await queries.distributions(session, PAGE)).items[0]
        shares = [share.tasks for share in await queries.shares(session, run.id)]
    expected = open_tasks / PEOPLE
    chi_square = sum((share - expected) ** 2 / expected for share in shares)
    assert len(shares) == PEOPLE
    # 49 degrees of freedom, p = 0.001; the seed makes it the same each time.
    assert chi_square < 85.4


@pytest.mark.slow
async def test_a_part_gathers_its_people_once_also_by_a_plan_for_any_parameters(
    tracker: Service, many: UUID
) -> None:
    await request_distribution(tracker, await a_person(tracker, Role.MANAGER))
    await cut(tracker)
    async with watched(tracker) as sent, tracker.transaction() as session:
        await commands.deal_distribution_part(session, random=Random(1))
    ((statement, parameters),) = [one for one in sent if "uuid_hash_extended" in one[0]]
    connection = await asyncpg.connect(tracker.addresses.superuser)
    try:
        await connection.execute(f"set plan_cache_mode = force_generic_plan; prepare dealing as {statement}")
        nothing = ", ".join("null" for _parameter in parameters)
        rows = await connection.fetch(f"explain execute dealing({nothing})")
    finally:
        await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert plan.count(" on accounts") == 1
    assert "Nested Loop" not in plan
    assert re.search(r"Index Scan using \w+ on tasks ", plan)


async def plans_of(tracker: Service, act: Callable[..., object]) -> str:
    """The plans of every statement on tasks that `act` sends, with the parameters it sends."""
    async with watched(tracker) as sent, tracker.transaction() as session:
        await act(session)  # type: ignore[misc]
    connection = await asyncpg.connect(tracker.addresses.superuser)
    try:
        plans = []
        for statement, parameters in sent:
            rows = await connection.fetch(f"explain {statement}", *parameters)
            plans.append("\n".join(row[0] for row in rows))
        return "\n".join(plans)
    finally:
        await connection.close()


@asynccontextmanager
async def watched(tracker: Service) -> AsyncIterator[list[tuple[str, tuple[object, ...]]]]:
    """Every statement on tasks that is sent meanwhile, with its parameters."""
    sent: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if "tasks" in statement and statement.lstrip().upper().startswith(("SELECT", "UPDATE", "WITH")):
            sent.append((statement, tuple(parameters)))

    engine = tracker.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
