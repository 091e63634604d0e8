"""Every change of the tracker's state, on a real database under the service's own role."""

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text

from service_kit.clock import FixedClock
from service_kit.errors import ServiceError
from service_kit.identity import CurrentUser, Role
from service_kit.paging import PageRequest
from service_kit.telemetry import correlation_id
from tests.support.running import eventually
from tests.support.services import Service
from tests.tracker.makers import (
    LONG_AGO,
    a_person,
    a_task,
    complete,
    cut,
    deal_part,
    people,
    request_distribution,
    run_to_the_end,
)
from tracker import commands, domain, queries
from tracker.domain import AccountFact
from tracker.models import Task, TaskHistory


async def all_tasks(tracker: Service) -> list[queries.TaskRow]:
    async with tracker.reading() as session:
        return (await queries.tasks(session, PageRequest(limit=200))).items


async def history(tracker: Service, task: Task) -> list[TaskHistory]:
    async with tracker.reading() as session:
        return (await queries.history(session, task.id, PageRequest(limit=200))).items


class TestCreateTask:
    async def test_gives_the_task_to_somebody_eligible_at_once(self, tracker: Service) -> None:
        manager = await a_person(tracker, Role.MANAGER)
        for role in (Role.ADMIN, Role.CLIENT):
            await a_person(tracker, role)
        await a_person(tracker, active=False)
        worker, accountant = await a_person(tracker), await a_person(tracker, Role.ACCOUNTANT)
        drawn = {(await a_task(tracker, manager, random=Random(seed))).assignee_id for seed in range(30)}
        assert drawn == {worker.guid, accountant.guid}

    async def test_says_one_fact_in_two_versions_and_then_the_assignment(self, tracker: Service) -> None:
        worker = await a_person(tracker)
        task = await a_task(tracker, worker, "Paint the perch", jira_id="POPUG-17")
        v1, v2, assigned = await tracker.said()
        assert [(row["name"], row["version"]) for row in (v1, v2, assigned)] == [
            ("TaskCreated", 1),
            ("TaskCreated", 2),
            ("TaskAssigned", 1),
        ]
        assert v1["event_id"] == v2["event_id"] != assigned["event_id"]
        assert v1["data"]["title"] == "[POPUG-17] - Paint the perch"
        assert (v2["data"]["title"], v2["data"]["jiraId"]) == ("Paint the perch", "POPUG-17")
        assert {row["key"] for row in (v1, v2, assigned)} == {str(task.id)}
        data = assigned["data"]
        assert (data["cycle"], data["reason"], data["distributionId"]) == (1, "created", None)
        assert data["userGuid"] == str(worker.guid)

    async def test_without_a_jira_id_both_versions_have_the_same_title(self, tracker: Service) -> None:
        await a_task(tracker, await a_person(tracker), "Feed")
        v1, v2, _assigned = await tracker.said()
        assert (v1["data"]["title"], v2["data"]["title"], v2["data"]["jiraId"]) == ("Feed", "Feed", None)

    async def test_is_refused_when_nobody_is_eligible_and_leaves_no_trace(self, tracker: Service) -> None:
        manager = await a_person(tracker, Role.MANAGER)
        with pytest.raises(domain.NobodyToAssign):
            await a_task(tracker, manager)
        assert await all_tasks(tracker) == []
        assert await tracker.said() == []

    async def test_remembers_both_steps(self, tracker: Service) -> None:
        creator, worker = await a_person(tracker, Role.ADMIN), await a_person(tracker)
        task = await a_task(tracker, creator)
        created, assigned = await history(tracker, task)
        assert (created.kind, created.actor_id) == ("created", creator.guid)
        assert (assigned.kind, assigned.reason, assigned.assignee_id) == ("assigned", "created", worker.guid)

    async def test_its_history_cannot_be_rewritten(self, tracker: Service) -> None:
        rights = [
            await tracker.scalar("select has_table_privilege('task_history', :p)", p=privilege)
            for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
        ]
        assert rights == [True, True, False, False, False]


class TestUpdateTask:
    async def update(self, tracker: Service, actor: CurrentUser, task: Task, **changes: object) -> Task:
        async with tracker.transaction() as session:
            values = {"version": task.version, **changes}
            return await commands.update_task(session, actor, task.id, **values)  # type: ignore[arg-type]

    async def test_changes_what_is_named_and_says_so(self, tracker: Service) -> None:
        author = await a_person(tracker)
        task = await a_task(tracker, author, "Feed", jira_id="POP-1", description="Seeds")
        changed = await self.update(tracker, author, task, title="Feed twice")
        assert (changed.title, changed.jira_id, changed.description) == ("Feed twice", "POP-1", "Seeds")
        assert changed.version == 2
        last = (await tracker.said())[-1]
        assert (last["name"], last["data"]["title"], last["data"]["jiraId"]) == (
            "TaskUpdated",
            "Feed twice",
            "POP-1",
        )
        assert (await history(tracker, task))[-1].kind == "updated"

    async def test_an_edit_on_an_older_text_loses(self, tracker: Service) -> None:
        author = await a_person(tracker)
        task = await a_task(tracker, author)
        await self.update(tracker, author, task, title="First")
        with pytest.raises(domain.VersionConflict):
            await self.update(tracker, author, task, title="Second")
        assert [row.title for row in await all_tasks(tracker)] == ["First"]

    async def test_two_edits_at_once_leave_exactly_one(self, tracker: Service) -> None:
        author = await a_person(tracker)
        task = await a_task(tracker, author)
        outcomes = await asyncio.gather(
            *(self.update(tracker, author, task, title=title) for title in ("One", "Two")),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Task", "VersionConflict"]

    async def test_a_distribution_does_not_spoil_an_edit(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        task = await a_task(tracker, manager)
        await request_distribution(tracker, manager)
        await run_to_the_end(tracker)
        assert (await self.update(tracker, manager, task, title="Still fine")).version == 2

    async def test_an_edit_that_changes_nothing_says_nothing(self, tracker: Service) -> None:
        author = await a_person(tracker)
        task = await a_task(tracker, author, "Feed")
        before = len(await tracker.said())
        assert (await self.update(tracker, author, task, title=" Feed ")).version == 1
        assert len(await tracker.said()) == before

    async def test_strangers_and_done_tasks_are_refused(self, tracker: Service) -> None:
        author = await a_person(tracker)
        task = await a_task(tracker, author)
        stranger = CurrentUser(guid=uuid4(), role=Role.WORKER)
        with pytest.raises(domain.NotYoursToEdit):
            await self.update(tracker, stranger, task, title="Mine now")
        await complete(tracker, author, task.id)
        with pytest.raises(domain.TaskAlreadyDone):
            await self.update(tracker, author, task, title="Too late")


class TestCompleteTask:
    async def test_marks_it_done_and_says_who_did_it_in_which_cycle(self, tracker: Service) -> None:
        worker = await a_person(tracker)
        task = await a_task(tracker, worker)
        done = await complete(tracker, worker, task.id)
        assert (done.status, done.completed_at) == ("done", tracker.clock.now())
        last = (await tracker.said())[-1]
        assert (last["name"], last["data"]["userGuid"], last["data"]["cycle"]) == (
            "TaskCompleted",
            str(worker.guid),
            1,
        )

    async def test_only_its_assignee_can(self, tracker: Service) -> None:
        worker = await a_person(tracker)
        task = await a_task(tracker, worker)
        with pytest.raises(domain.NotTheAssignee):
            await complete(tracker, await a_person(tracker, Role.ADMIN), task.id)

    async def test_two_clicks_at_once_count_once(self, tracker: Service) -> None:
        worker = await a_person(tracker)
        task = await a_task(tracker, worker)
        clicks = (complete(tracker, worker, task.id) for _ in range(5))
        outcomes = await asyncio.gather(*clicks, return_exceptions=True)
        assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Task": 1, "TaskAlreadyDone": 4}
        assert [row["name"] for row in await tracker.said()].count("TaskCompleted") == 1

    async def test_an_unknown_task_is_not_found(self, tracker: Service) -> None:
        with pytest.raises(domain.TaskNotFound):
            await complete(tracker, await a_person(tracker), uuid4())


class TestDistribution:
    async def test_assigns_every_open_task_anew_exactly_once(self, tracker: Service) -> None:
        manager, workers = await a_person(tracker, Role.MANAGER), await people(tracker, 3)
        tasks = [await a_task(tracker, manager) for _ in range(7)]
        owner = next(worker for worker in workers if worker.guid == tasks[0].assignee_id)
        await complete(tracker, owner, tasks[0].id)
        said_before = len(await tracker.said())
        run = await request_distribution(tracker, manager)
        assert (run.status, run.tasks_total, run.tasks_assigned) == ("running", 6, 0)
        await run_to_the_end(tracker, size=4)
        facts = (await tracker.said())[said_before:]
        assert Counter(row["key"] for row in facts) == {str(task.id): 1 for task in tasks[1:]}
        eligible = {str(worker.guid) for worker in workers}
        for fact in facts:
            data = fact["data"]
            assert (fact["name"], data["reason"], data["cycle"]) == ("TaskAssigned", "distributed", 2)
            assert data["distributionId"] == str(run.id)
            assert data["userGuid"] in eligible
        now = {str(task.id): (str(task.assignee_id), task.cycle) for task in await all_tasks(tracker)}
        assert all(now[row["key"]] == (row["data"]["userGuid"], 2) for row in facts)
        async with tracker.reading() as session:
            finished = await queries.distribution(session, run.id)
        assert (finished.status, finished.tasks_assigned) == ("done", 6)

    async def test_the_same_worker_again_is_an_assignment_too(self, tracker: Service) -> None:
        worker, manager = await a_person(tracker), await a_person(tracker, Role.MANAGER)
        task = await a_task(tracker, manager)
        await request_distribution(tracker, manager)
        await run_to_the_end(tracker)
        last = (await tracker.said())[-1]["data"]
        assert (last["userGuid"], last["cycle"]) == (str(worker.guid), 2)
        assert [(row.kind, row.cycle) for row in await history(tracker, task)] == [
            ("created", 1),
            ("assigned", 1),
            ("assigned", 2),
        ]

    async def test_a_second_press_answers_the_running_one(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        await a_task(tracker, manager)
        first = await request_distribution(tracker, manager)
        assert (await request_distribution(tracker, manager)).id == first.id
        await run_to_the_end(tracker)
        assert (await request_distribution(tracker, manager)).id != first.id

    async def test_presses_at_the_same_time_make_one_run(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        task = await a_task(tracker, manager)
        presses = await asyncio.gather(*(request_distribution(tracker, manager) for _ in range(4)))
        assert len({run.id for run in presses}) == 1
        await run_to_the_end(tracker)
        assert [row.cycle for row in await history(tracker, task)] == [1, 1, 2]

    async def test_a_run_killed_between_and_within_parts_goes_on_where_it_was(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 3)
        tasks = [await a_task(tracker, manager) for _ in range(9)]
        await request_distribution(tracker, manager)
        await cut(tracker, size=4)
        assert await deal_part(tracker) == 4

        class KilledError(Exception):
            pass

        async def part_that_is_killed() -> None:
            async with tracker.transaction() as session:
                await commands.deal_distribution_part(session, random=Random(5))
                raise KilledError

        with pytest.raises(KilledError):
            await part_that_is_killed()
        await run_to_the_end(tracker, size=4, seed=9)
        assert {task.cycle for task in await all_tasks(tracker)} == {2}
        distributed = [
            row["key"] for row in await tracker.said() if row["data"].get("reason") == "distributed"
        ]
        assert Counter(distributed) == {str(task.id): 1 for task in tasks}

    async def test_two_workers_at_one_run_deal_each_task_once(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 3)
        for _ in range(12):
            await a_task(tracker, manager)
        run = await request_distribution(tracker, manager)
        await asyncio.gather(*(run_to_the_end(tracker, size=2, seed=seed) for seed in (1, 100)))
        assert {task.cycle for task in await all_tasks(tracker)} == {2}
        async with tracker.reading() as session:
            finished = await queries.distribution(session, run.id)
        assert (finished.status, finished.tasks_assigned) == ("done", 12)

    async def test_a_part_in_other_hands_is_passed_over_and_keeps_the_run_open(
        self, tracker: Service
    ) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        for _ in range(4):
            await a_task(tracker, manager)
        await request_distribution(tracker, manager)
        await cut(tracker, size=2)
        async with tracker.transaction() as elsewhere:
            taken = "select first_task_id from distribution_parts order by first_task_id limit 1 for update"
            await elsewhere.execute(text(taken))
            assert [await deal_part(tracker), await deal_part(tracker)] == [2, None]
            async with tracker.transaction() as session:
                assert await commands.finish_distribution(session) is None
        assert {task.cycle for task in await all_tasks(tracker)} == {1, 2}
        await run_to_the_end(tracker)
        assert {task.cycle for task in await all_tasks(tracker)} == {2}

    async def test_tasks_created_after_the_press_stay_out_of_the_run(self, tracker: Service) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        before = await a_task(tracker, manager)
        await request_distribution(tracker, manager)
        after = await a_task(tracker, manager)
        await run_to_the_end(tracker)
        assert {task.id: task.cycle for task in await all_tasks(tracker)} == {before.id: 2, after.id: 1}

    async def test_completing_meanwhile_wins_or_loses_but_never_mixes(self, tracker: Service) -> None:
        manager, worker = await a_person(tracker, Role.MANAGER), await a_person(tracker)
        tasks = [await a_task(tracker, manager) for _ in range(10)]
        await request_distribution(tracker, manager)
        await asyncio.gather(
            run_to_the_end(tracker, size=3), *(complete(tracker, worker, task.id) for task in tasks)
        )
        for task in tasks:
            kinds = [row.kind for row in await history(tracker, task)]
            assert kinds in (
                ["created", "assigned", "completed"],
                ["created", "assigned", "assigned", "completed"],
            )

    async def test_a_click_that_waited_for_a_distribution_stands_behind_it(self, tracker: Service) -> None:
        """The steps of a task are in the order in which they held it, not in which they were asked for."""
        manager, worker = await a_person(tracker, Role.MANAGER), await a_person(tracker)
        task = await a_task(tracker, manager)
        async with tracker.transaction() as holder:
            await holder.execute(text("select from tasks where id = :id for update"), {"id": task.id})
            click = asyncio.create_task(complete(tracker, worker, task.id))
            await eventually(tracker.somebody_waits)
            again = (
                "insert into task_history (id, task_id, kind, cycle, actor_id, assignee_id, occurred_at)"
                " select uuidv7(), task_id, kind, cycle, actor_id, assignee_id, occurred_at"
                " from task_history where task_id = :id and kind = 'assigned'"
            )
            await holder.execute(text(again), {"id": task.id})
        await click
        kinds = [row.kind for row in await history(tracker, task)]
        assert kinds == ["created", "assigned", "assigned", "completed"]

    async def test_with_nobody_eligible_it_is_refused_and_changes_nothing(self, tracker: Service) -> None:
        manager, worker = await a_person(tracker, Role.MANAGER), await a_person(tracker)
        await a_task(tracker, manager)
        async with tracker.transaction() as session:
            block = AccountFact(worker.guid, tracker.clock.now(), active=False)
            await commands.record_accounts(session, [block])
        with pytest.raises(domain.NobodyToAssign):
            await request_distribution(tracker, manager)
        assert {task.cycle for task in await all_tasks(tracker)} == {1}

    async def test_a_block_during_the_run_is_respected(self, tracker: Service) -> None:
        manager, (stays, leaves) = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        for _ in range(20):
            await a_task(tracker, manager)
        await request_distribution(tracker, manager)
        await cut(tracker, size=5)
        assert await deal_part(tracker) == 5
        async with tracker.transaction() as session:
            block = AccountFact(leaves.guid, tracker.clock.now(), active=False)
            await commands.record_accounts(session, [block])
        await run_to_the_end(tracker, size=5)
        later = sorted(await all_tasks(tracker), key=lambda task: task.id)[5:]
        assert {task.assignee_id for task in later} == {stays.guid}

    async def test_its_facts_carry_the_moment_and_the_trace_of_the_press(
        self, tracker: Service, clock: FixedClock
    ) -> None:
        manager, _ = await a_person(tracker, Role.MANAGER), await people(tracker, 2)
        await a_task(tracker, manager)
        token = correlation_id.set("the-press")
        run = await request_distribution(tracker, manager)
        correlation_id.reset(token)
        pressed_at = clock.now()
        clock.advance(timedelta(hours=14))
        await run_to_the_end(tracker)
        last = (await tracker.said())[-1]
        assert (last["occurred_at"], last["correlation_id"]) == (pressed_at, "the-press")
        async with tracker.reading() as session:
            assert (await queries.distribution(session, run.id)).finished_at == clock.now()

    async def test_without_a_run_there_is_nothing_to_do(self, tracker: Service) -> None:
        await cut(tracker)
        assert await deal_part(tracker) is None
        async with tracker.transaction() as session:
            assert await commands.finish_distribution(session) is None


class TestRecordAccounts:
    async def eligible(self, tracker: Service) -> bool:
        """Whether a task finds somebody."""
        try:
            await a_task(tracker, CurrentUser(guid=uuid4(), role=Role.ADMIN))
        except domain.NobodyToAssign:
            return False
        return True

    async def record(self, tracker: Service, *facts: AccountFact) -> None:
        async with tracker.transaction() as session:
            await commands.record_accounts(session, facts)

    async def test_an_older_fact_changes_nothing_and_a_newer_one_does(self, tracker: Service) -> None:
        account = uuid4()
        hour = timedelta(hours=1)
        await self.record(tracker, AccountFact(account, LONG_AGO + 2 * hour, role="worker", active=True))
        await self.record(tracker, AccountFact(account, LONG_AGO + hour, role="manager"))
        assert await self.eligible(tracker)
        await self.record(tracker, AccountFact(account, LONG_AGO + 3 * hour, role="manager"))
        assert not await self.eligible(tracker)

    async def test_role_and_block_are_ordered_apart(self, tracker: Service) -> None:
        account = uuid4()
        hour = timedelta(hours=1)
        await self.record(tracker, AccountFact(account, LONG_AGO + 2 * hour, active=True))
        await self.record(tracker, AccountFact(account, LONG_AGO + hour, role="worker"))
        assert await self.eligible(tracker)

    async def test_a_block_of_an_unknown_account_is_kept(self, tracker: Service) -> None:
        account = uuid4()
        await self.record(tracker, AccountFact(account, LONG_AGO + timedelta(hours=1), active=False))
        await self.record(tracker, AccountFact(account, LONG_AGO, role="worker", active=True))
        assert not await self.eligible(tracker)

    async def test_an_unblocked_account_without_a_known_role_gets_no_task(self, tracker: Service) -> None:
        await self.record(tracker, AccountFact(uuid4(), LONG_AGO, active=True))
        assert not await self.eligible(tracker)

    async def test_several_accounts_in_one_go_and_none_at_all(self, tracker: Service) -> None:
        await self.record(tracker)
        await self.record(
            tracker, *(AccountFact(uuid4(), LONG_AGO, role="worker", active=True) for _ in range(3))
        )
        assert await tracker.scalar("select count(*) from accounts") == 3


def test_every_refusal_has_a_code_of_its_own() -> None:
    refusals = [
        value
        for value in vars(domain).values()
        if isinstance(value, type)
        and issubclass(value, ServiceError)
        and value.__module__.startswith(domain.__name__)
    ]
    codes = [refusal.code for refusal in refusals]
    assert len(codes) == len(set(codes)) == 14
