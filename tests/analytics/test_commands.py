import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from analytics.commands import rebuild_views, record_events
from analytics.models import Account, RawEvent, Task
from tests.analytics import facts
from tests.analytics.facts import hear
from tests.support.services import Service

ReadViews = Callable[[Any], Any]


class _UndoError(Exception):
    """Ends a transaction before its commit."""


async def views_after(service: Service, views: ReadViews, batches: list[Any]) -> Any:
    """What the views would be after these batches; nothing stays."""
    async with service.transaction() as session:
        for batch in batches:
            await record_events(session, batch)
        found = await views(session)
        await session.rollback()
    return found


class TestFold:
    @settings(
        max_examples=25,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        derandomize=True,
    )
    @given(seed=st.integers(0, 1_000), order=st.randoms(use_true_random=False), size=st.integers(1, 60))
    async def test_any_order_and_any_batches_give_equal_figures(
        self, analytics: Service, views: ReadViews, seed: int, order: random.Random, size: int
    ) -> None:
        """Facts of four topics may arrive interleaved in any way, in batches of any size."""
        history = facts.a_history(seed, tasks=15, days=4)
        expected = await views_after(analytics, views, [history])
        order.shuffle(history)
        assert await views_after(analytics, views, facts.batches(history, size)) == expected

    async def test_hearing_again_changes_nothing(self, analytics: Service, views: ReadViews) -> None:
        """The same events twice, in one batch and in two, count once."""
        history = facts.a_history(1)
        await hear(analytics, *history, *history[:10])
        async with analytics.reading() as session:
            once = await views(session)
        await hear(analytics, *reversed(history))
        async with analytics.reading() as session:
            assert await views(session) == once
        assert await analytics.scalar("select count(*) from raw_events") == len(history)

    async def test_consumers_of_the_same_rows_do_not_lock_each_other_out(
        self, analytics: Service, views: ReadViews
    ) -> None:
        """Four processes that hear of the same days, tasks and people at once lose and double nothing."""
        history = facts.a_history(2, tasks=120, days=3)
        expected = await views_after(analytics, views, [history])
        random.Random(2).shuffle(history)
        lanes = [facts.batches(history[lane::4], 7) for lane in range(4)]

        async def consume(lane: list[Any]) -> None:
            for batch in lane:
                await hear(analytics, *batch)

        await asyncio.gather(*(consume(lane) for lane in lanes))
        async with analytics.reading() as session:
            assert await views(session) == expected

    async def test_the_later_title_holds(self, analytics: Service) -> None:
        """A title that was changed later stays, whichever fact is heard first."""
        await hear(analytics, facts.updated(12, 1, "New", minutes=1))
        await hear(analytics, facts.created(11, 1, "Old", "KEY-1"))
        async with analytics.reading() as session:
            task = await session.get_one(Task, facts.guid(1))
        assert (task.title, task.jira_id) == ("New", None)

    async def test_account_is_known_from_ledger_and_from_auth(self, analytics: Service) -> None:
        """An entry may come before the account it belongs to; both halves meet in one row."""
        await hear(analytics, facts.fee(11, 1_500))
        await hear(analytics, facts.role_changed(13, 1, "accountant", minutes=1), facts.account(12, 1))
        async with analytics.reading() as session:
            account = await session.get_one(Account, facts.guid(1))
        assert (account.balance_cents, account.role, account.active) == (-1_500, "accountant", True)


class TestRawLog:
    async def test_keeps_the_data_whole(self, analytics: Service) -> None:
        """Fields that no view reads are kept as well, for the questions of tomorrow."""
        await hear(analytics, facts.reward(11, 2_500))
        async with analytics.reading() as session:
            event = (await session.scalars(select(RawEvent))).one()
        assert event.data["balanceAfterCents"] == 0
        assert (event.topic, event.name, event.version) == ("billing.ledger", "EntryPosted", 1)
        assert event.correlation_id == "a-click"

    @pytest.mark.parametrize("statement", ["update raw_events set name = 'x'", "delete from raw_events"])
    async def test_cannot_be_changed(self, analytics: Service, statement: str) -> None:
        """Neither the service's role nor the owner's can rewrite what was heard."""
        await hear(analytics, facts.reward(11, 2_500))
        with pytest.raises(DBAPIError, match="permission denied"):
            async with analytics.transaction() as session:
                await session.execute(text(statement))

    async def test_effect_and_log_stand_or_fall_together(self, analytics: Service) -> None:
        """When the transaction fails, neither the log nor a view has the event."""

        async def hear_and_fail() -> None:
            async with analytics.transaction() as session:
                await record_events(session, [facts.reward(11, 2_500)])
                raise _UndoError

        with pytest.raises(_UndoError):
            await hear_and_fail()
        assert await analytics.scalar("select count(*) from raw_events") == 0
        assert await analytics.scalar("select count(*) from day_figures") == 0


class TestRebuild:
    async def test_finds_no_difference(self, analytics: Service) -> None:
        """The log folded anew gives the live views row by row (S3-39)."""
        history = facts.a_history(3)
        for batch in facts.batches(history, 50):
            await hear(analytics, *batch)
        async with analytics.transaction() as session:
            rebuilt = await rebuild_views(session, swap=False)
        assert (rebuilt.events, rebuilt.difference_count) == (len(history), 0)
        assert rebuilt.rows["task_days"] == await analytics.scalar("select count(*) from task_days")

    async def test_names_each_row_that_differs(self, analytics: Service) -> None:
        """A wrong, a missing and a surplus row are each shown with both sides."""
        await hear(analytics, facts.fee(11, 1_500), facts.created(12, 1, "Title"))
        async with analytics.transaction() as session:
            await session.execute(text("update day_figures set fees_cents = 1"))
            await session.execute(text("delete from tasks"))
            await session.execute(
                text("insert into task_days values ('2026-03-03', :id, 1, 1)"), {"id": facts.guid(9)}
            )
        async with analytics.transaction() as session:
            rebuilt = await rebuild_views(session, swap=False)
        found = {difference.view: difference for difference in rebuilt.differences}
        assert rebuilt.difference_count == len(found) == 3
        figures = found["day_figures"]
        assert figures.live is not None
        assert figures.rebuilt is not None
        assert (figures.live["fees_cents"], figures.rebuilt["fees_cents"]) == (1, 1_500)
        assert found["tasks"].live is None
        assert found["task_days"].rebuilt is None

    async def test_tells_how_far_it_is_and_bounds_what_it_shows(self, analytics: Service) -> None:
        """Progress after each chunk; of many differences the first ones, and the count of all."""
        history = facts.a_history(6)
        await hear(analytics, *history)
        async with analytics.transaction() as session:
            await session.execute(text("update task_days set fees_cents = fees_cents + 1"))
        told: list[int] = []
        async with analytics.transaction() as session:
            rebuilt = await rebuild_views(
                session,
                swap=False,
                differences_max=3,
                chunk_events=10,
                tell=lambda folded, _end: told.append(folded),
            )
        assert told[:2] == [10, 20]
        assert told[-1] <= len(history) == rebuilt.events
        assert len(rebuilt.differences) == 3
        assert rebuilt.difference_count == await analytics.scalar("select count(*) from task_days") > 3

    async def test_swap_puts_the_rebuilt_views_in_place(self, analytics: Service, views: ReadViews) -> None:
        """After a swap the views are what the log says, and the next events are added to them."""
        history = facts.a_history(4)
        expected = await views_after(analytics, views, [history])
        await hear(analytics, *history[:-20])
        async with analytics.transaction() as session:
            await session.execute(text("delete from accounts"))
            await session.execute(text("update day_figures set rewards_cents = 0"))
        async with analytics.transaction() as session:
            assert (await rebuild_views(session, swap=True)).swapped
        await hear(analytics, *history[-20:])
        async with analytics.reading() as session:
            assert await views(session) == expected

    async def test_events_may_keep_coming(self, analytics: Service, views: ReadViews) -> None:
        """What arrives during a rebuild is in it, once, also when the views are swapped."""
        history = facts.a_history(5, tasks=150)
        expected = await views_after(analytics, views, [history])
        half = len(history) // 2
        await hear(analytics, *history[:half])

        async def keep_coming() -> None:
            for batch in facts.batches(history[half:], 3):
                await hear(analytics, *batch)

        coming = asyncio.create_task(keep_coming())
        differences = 0
        while not coming.done():
            async with analytics.transaction() as session:
                differences += (await rebuild_views(session, swap=True, chunk_events=5)).difference_count
        await coming
        assert differences == 0
        async with analytics.reading() as reader:
            assert await views(reader) == expected
