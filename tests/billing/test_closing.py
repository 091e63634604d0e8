"""The end of a day: payouts, debts, figures, DayResult; once, whatever happens meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import event

from billing import commands, queries
from billing.domain import PAYOUTS
from service_kit.ids import new_id
from tests.billing.facts import (
    NOON,
    a_working_day,
    assigned,
    close_all,
    completed,
    created,
    cut_off,
    hear,
    next_night,
    say_some,
    settle_some,
    snapshot,
    working_day,
)
from tests.support.services import Service

MakeService = Callable[..., Service]
Step = Callable[..., Awaitable[object]]
WORKERS = [UUID(int=n) for n in range(1, 6)]


class Killed(Exception):
    """The process ends here."""


STEPS: list[Step] = [
    commands.close_due_days,
    partial(commands.settle_accounts, at_once=8),
    commands.settle_accounts,
    commands.settle_accounts,
    commands.say_closed_days,
]
"""One close: cut off, two parts, the figures, the saying."""


async def differences(billing: Service) -> list[str]:
    async with billing.reading() as session:
        return await queries.differences(session)


async def balances(billing: Service) -> dict[str, int]:
    rows = await billing.scalar(
        "select json_object_agg(id, balance_cents) from ledger_accounts where kind = 'worker'"
    )
    return dict(rows or {})


class TestCloseDueDays:
    async def test_it_works(self, billing: Service) -> None:
        """Positive balances are paid and zeroed, debts stay, the result is said."""
        await a_working_day(billing, WORKERS)
        before = await balances(billing)
        assert min(before.values()) < 0 < max(before.values())
        next_night(billing)
        assert await close_all(billing) == ["2026-03-02"]
        assert await balances(billing) == {owner: min(cents, 0) for owner, cents in before.items()}
        paid = {owner: cents for owner, cents in before.items() if cents > 0}
        assert await billing.scalar("select json_object_agg(account_id, amount_cents) from payouts") == paid
        assert (
            await billing.scalar("select balance_cents from ledger_accounts where id = :id", id=PAYOUTS)
        ) == sum(paid.values())
        assert await differences(billing) == []

    async def test_what_is_said(self, billing: Service) -> None:
        """One DayResult in both versions under one event id, keyed by the date; each payout twice told."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await close_all(billing)
        said = [row for row in await billing.said() if row["name"] in {"DayResult", "PayoutMade"}]
        old, new = (row for row in said if row["name"] == "DayResult")
        assert (old["version"], new["version"]) == (1, 2)
        assert old["event_id"] == new["event_id"]
        assert old["key"] == new["key"] == "2026-03-02"
        assert set(old["data"]) == {"maxCostTask", "taskCountProfit", "taskCountDeficit", "income"}
        assert old["data"].items() <= new["data"].items()
        assert new["data"]["income"] == new["data"]["feesCents"] - new["data"]["rewardsCents"]
        payouts = [row for row in said if row["name"] == "PayoutMade"]
        assert sum(row["data"]["amountCents"] for row in payouts) == new["data"]["payoutsCents"]
        assert len(payouts) == new["data"]["payoutCount"]
        told = [row["data"] for row in await billing.said() if row["data"].get("kind") == "payout"]
        assert said[-1]["name"] == "DayResult"
        assert {(t["userGuid"], t["amountCents"], t["taskId"]) for t in told} == {
            (row["data"]["userGuid"], -row["data"]["amountCents"], None) for row in payouts
        }

    async def test_not_before_midnight_and_the_delay(self, billing: Service) -> None:
        """Midnight in the business zone plus the delay, and not a second earlier."""
        await a_working_day(billing, WORKERS)
        billing.clock.set(datetime(2026, 3, 2, 21, 0, 59, tzinfo=UTC))  # 00:00:59 in Moscow
        assert await close_all(billing) == []
        billing.clock.advance(timedelta(seconds=1))
        assert await close_all(billing) == ["2026-03-02"]

    async def test_debts_are_carried_until_tasks_repay_them(self, billing: Service) -> None:
        """A debt goes over into the next day; a payout is what is left above it (S3-32, A4)."""
        worker, owed, earned = new_id(), new_id(), new_id()
        await hear(billing, created(owed), assigned(owed, worker))
        (debt,) = (await balances(billing)).values()
        next_night(billing)
        await close_all(billing)
        next_day = NOON + timedelta(days=1)
        await hear(billing, completed(owed, worker, next_day), completed(earned, worker, next_day))
        rewards = sum(
            [r["data"]["amountCents"] for r in await billing.said() if r["data"].get("kind") == "reward"]
        )
        next_night(billing)
        await close_all(billing)
        assert await billing.scalar("select amount_cents from payouts") == rewards + debt
        assert debt < 0
        assert (
            await billing.scalar("select opening_cents from days where business_date = '2026-03-03'") == debt
        )
        assert await differences(billing) == []

    async def test_work_after_midnight_is_not_paid_with_the_day_before(self, billing: Service) -> None:
        """What is posted on the new day before the close of the old one waits for its own close."""
        worker, old, new = new_id(), new_id(), new_id()
        await hear(billing, created(old), completed(old, worker))
        reward = (await balances(billing))[str(worker)]
        await hear(billing, completed(new, worker, NOON + timedelta(days=1)))
        next_night(billing)
        assert await close_all(billing) == ["2026-03-02"]
        assert await billing.scalar("select amount_cents from payouts") == reward
        assert (await balances(billing))[str(worker)] > 0
        assert await differences(billing) == []

    async def test_days_without_work_are_closed_too(self, make_service: MakeService) -> None:
        """A run of idle days at once writes what closing them one by one writes."""
        facts, found = working_day(WORKERS), []
        for nights in ([40], [1] * 40):
            billing = make_service("billing")
            billing.clock.set(NOON)
            await hear(billing, *facts)
            for night in nights:
                next_night(billing, night)
                await close_all(billing)
            assert await billing.scalar("select count(*) from days where state = 'closed'") == 40
            assert await differences(billing) == []
            figures = await billing.scalar(
                "select json_agg(to_jsonb(d) - 'closed_at' order by business_date) from days d"
            )
            found.append(((await snapshot(billing))["postings"], figures))
        assert found[0] == found[1]

    async def test_idle_days_stop_before_the_next_work(self, billing: Service) -> None:
        """A run of idle days ends where work lies ahead, and that day is paid as any other."""
        await a_working_day(billing, WORKERS)
        await a_working_day(billing, WORKERS, NOON + timedelta(days=5))
        next_night(billing, nights=8)
        assert len(await close_all(billing)) == 8
        assert await billing.scalar("select count(distinct business_date) from payouts") == 2
        assert await differences(billing) == []

    async def test_an_empty_ledger_begins_with_the_first_day_on_record(self, billing: Service) -> None:
        """Without any work there is nothing to close until a day is opened; then its night comes too."""
        next_night(billing)
        assert await close_all(billing) == []
        async with billing.transaction() as session:
            await commands.open_day(session, date(2026, 3, 3))
        next_night(billing)
        assert await close_all(billing) == ["2026-03-03"]
        (v1, _v2) = [row["data"] for row in await billing.said()]
        assert v1 == {"maxCostTask": None, "taskCountProfit": 0, "taskCountDeficit": 0, "income": 0}

    async def test_a_closed_day_is_never_opened_again(self, billing: Service) -> None:
        """A clock that goes back finds closed days closed, also those before the ledger began."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await close_all(billing)
        for day in (date(2026, 3, 2), date(2026, 2, 1)):
            async with billing.transaction() as session:
                await commands.open_day(session, day)
        opened = "select string_agg(business_date::text, ' ') from days where state = 'open'"
        assert await billing.scalar(opened) == "2026-03-03"

    @pytest.mark.parametrize(
        ("zone", "first", "hours"),
        [
            ("Europe/Berlin", date(2026, 3, 29), 23),
            ("Europe/Berlin", date(2026, 10, 25), 25),
            ("America/New_York", date(2026, 11, 1), 25),
            ("Asia/Kolkata", date(2026, 3, 29), 24),
        ],
    )
    async def test_days_of_the_clock_change(
        self, make_service: MakeService, zone: str, first: date, hours: int
    ) -> None:
        """A day of 23 or 25 hours is closed once, an hour earlier or later."""
        billing = make_service("billing", business_time_zone=zone)
        start = datetime.combine(first, datetime.min.time(), tzinfo=billing.settings.zone).astimezone(UTC)
        await a_working_day(billing, WORKERS, start + timedelta(minutes=5))
        billing.clock.set(start + timedelta(hours=hours, seconds=59))
        assert await close_all(billing) == []
        billing.clock.advance(timedelta(seconds=1))
        assert await close_all(billing) == [first.isoformat()]


class TestSaying:
    async def test_in_parts(self, billing: Service) -> None:
        """However many payouts and days there are, each is said once, in order, and a day's result last."""
        many = [UUID(int=n) for n in range(1, 1251)]
        for day in range(3):
            tasks = [(new_id(), worker) for worker in many[: 1250 - 500 * day]]
            moment = NOON + timedelta(days=day)
            await hear(billing, *(completed(task, worker, moment) for task, worker in tasks))
        next_night(billing, nights=5)
        while await cut_off(billing):
            while await settle_some(billing):
                pass
        assert [row for row in await billing.said() if row["name"] in {"DayResult", "PayoutMade"}] == []
        parts = 0
        while await say_some(billing):
            parts += 1
        assert parts == 3
        said = [row for row in await billing.said() if row["name"] in {"DayResult", "PayoutMade"}]
        told = [
            (row["data"].get("businessDate"), row["name"], row["data"].get("userGuid"))
            for row in said
            if row["version"] == 2 or row["name"] == "PayoutMade"
        ]
        expected = [
            [
                *((f"2026-03-0{2 + day}", "PayoutMade", str(w)) for w in many[: max(0, 1250 - 500 * day)]),
                (f"2026-03-0{2 + day}", "DayResult", None),
            ]
            for day in range(3)
        ]
        idle = [(f"2026-03-0{day}", "DayResult", None) for day in (5, 6)]
        assert told == [*(line for day in expected for line in day), *idle]
        assert await billing.scalar("select count(*) from unsaid_days") == 0
        assert await differences(billing) == []

    async def test_posting_goes_on_while_it_is_said(self, billing: Service) -> None:
        """What a closed day says holds nobody up who posts."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await cut_off(billing)
        while await settle_some(billing):
            pass
        async with billing.transaction() as session:
            assert await commands.say_closed_days(session)
            async with asyncio.timeout(20):
                await hear(billing, completed(new_id(), WORKERS[0], NOON + timedelta(days=1)))
        assert await differences(billing) == []


class TestParts:
    async def test_they_give_what_one_gives(self, make_service: MakeService) -> None:
        """However small the parts, the ledger is the same row by row."""
        facts, found = working_day(WORKERS), []
        for at_once in (1, 2, 3, 5_000):
            billing = make_service("billing")
            billing.clock.set(NOON)
            await hear(billing, *facts)
            next_night(billing)
            await cut_off(billing)
            while await settle_some(billing, at_once=at_once):
                pass
            found.append(await snapshot(billing))
        assert all(other == found[0] for other in found)

    async def test_each_moment_between_them_is_sound(self, billing: Service) -> None:
        """The day is shown as closing, the books agree with the journal, and there is no next day yet."""
        await a_working_day(billing, WORKERS)
        await a_working_day(billing, WORKERS, NOON + timedelta(days=1))
        next_night(billing, nights=2)
        assert await cut_off(billing) == [date(2026, 3, 2)]
        parts = 0
        while True:
            async with billing.reading() as session:
                shown = await queries.day_of(session, date(2026, 3, 2))
            assert (shown.state, shown.payout_count) == ("closing", min(parts, 3))
            assert await differences(billing) == []
            assert await cut_off(billing) == []
            if not await settle_some(billing, at_once=4):
                break
            parts += 1
        assert parts > 3
        assert await differences(billing) == []
        assert await cut_off(billing) == [date(2026, 3, 3)]

    async def test_what_is_posted_between_them_waits_for_its_own_day(self, billing: Service) -> None:
        """The balance of the day that ended is paid, whatever came to the account until its turn."""
        await a_working_day(billing, WORKERS)
        before = await balances(billing)
        next_night(billing)
        await cut_off(billing)
        earned = new_id()
        while await settle_some(billing, at_once=1):
            for worker in WORKERS:
                task = new_id()
                # One of the new day, and one that comes too late for the old one.
                await hear(billing, created(task), assigned(task, worker, billing.clock.now()))
                await hear(billing, assigned(new_id(), worker))
        await hear(billing, completed(earned, WORKERS[0], billing.clock.now()))
        paid = await billing.scalar("select json_object_agg(account_id, amount_cents) from payouts")
        assert paid == {owner: cents for owner, cents in before.items() if cents > 0}
        assert await billing.scalar("select late_count from days where state = 'closed'") == 0
        assert await billing.scalar("select count(*) from journal_entries where late") > len(WORKERS)
        assert await differences(billing) == []

    async def test_posting_goes_on_meanwhile(self, billing: Service) -> None:
        """A part holds the accounts that it settles and nobody else's."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await cut_off(billing)
        async with billing.transaction() as session:
            assert await commands.settle_accounts(session, at_once=4)
            async with asyncio.timeout(20):
                await hear(billing, completed(new_id(), WORKERS[-1], billing.clock.now()))
        assert await billing.scalar("select count(*) from payouts") == 1
        assert await differences(billing) == []

    async def test_a_tick_goes_on_where_another_process_stopped(self, billing: Service) -> None:
        """A day that was left half settled is closed before the next one is looked at."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await cut_off(billing)
        await settle_some(billing, at_once=4)
        assert await billing.scalar("select count(*) from payouts") == 1
        assert await close_all(billing) == []
        assert await billing.scalar("select state from days where business_date = '2026-03-02'") == "closed"
        assert [row["name"] for row in await billing.said()].count("DayResult") == 2
        assert await differences(billing) == []


class TestAgain:
    async def test_twice(self, billing: Service) -> None:
        """A second close finds nothing to do and changes nothing."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        await close_all(billing)
        once = await snapshot(billing)
        assert await close_all(billing) == []
        assert await snapshot(billing) == once

    async def test_in_parallel(self, make_service: MakeService) -> None:
        """Eight closers at once, with posters among them, write what one alone writes."""
        alone, crowded = make_service("billing"), make_service("billing")
        for billing in (alone, crowded):
            billing.clock.set(NOON)
        facts = [[created(t := new_id()), assigned(t, w), completed(t, w)] for w in WORKERS * 4]
        tomorrow = [[completed(new_id(), w, NOON + timedelta(days=1))] for w in WORKERS]
        for batch in facts:
            await hear(alone, *batch)
            await hear(crowded, *batch)
        next_night(alone)
        assert await close_all(alone) == ["2026-03-02"]
        for batch in tomorrow:
            await hear(alone, *batch)
        closers = [close_all(crowded, at_once=4) for _ in range(8)]
        posters = [hear(crowded, *batch) for batch in tomorrow]
        await asyncio.gather(*closers, *posters)
        for table in ("payouts", "days", "letters"):
            assert (await snapshot(alone))[table] == (await snapshot(crowded))[table]
        results = [[r["data"] for r in await b.said() if r["name"] == "DayResult"] for b in (alone, crowded)]
        assert results[0] == results[1]
        assert await balances(alone) == await balances(crowded)
        assert await differences(crowded) == []

    @pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
    async def test_killed_after_any_statement_and_resumed(self, make_service: MakeService, done: int) -> None:
        """Wherever a step is killed, nothing of it stays; whoever goes on writes what one alone would."""
        ids = [new_id() for _ in range(10)]
        facts = [
            fact
            for n, task in enumerate(ids)
            for fact in (created(task), assigned(task, WORKERS[n % 5]), completed(task, WORKERS[n % 4]))
        ]
        undisturbed, billing = make_service("billing"), make_service("billing")
        for service in (undisturbed, billing):
            service.clock.set(NOON)
            await hear(service, *facts)
            next_night(service)
        await close_all(undisturbed)
        for step in STEPS[:done]:
            async with billing.transaction() as session:
                await step(session)
        step = STEPS[done]
        before = await snapshot(billing)
        statements = await statements_of(billing, step)
        assert statements > 4
        for killed_at in range(1, statements + 1):
            with pytest.raises(Killed):
                await killed_after(billing, step, killed_at)
            assert await snapshot(billing) == before
        await close_all(billing)
        assert await snapshot(billing) == await snapshot(undisturbed)

    async def test_a_lost_connection_leaves_nothing(self, billing: Service) -> None:
        """When the server ends the connection in the middle, the day stays open and closes later."""
        await a_working_day(billing, WORKERS)
        next_night(billing)
        before = await snapshot(billing)
        with pytest.raises(Exception, match=r"connection|terminat"):
            async with billing.transaction() as session:
                await commands.close_due_days(session)
                await session.connection()
                raw = await (await session.connection()).get_raw_connection()
                assert raw.driver_connection is not None
                raw.driver_connection.terminate()
        assert await snapshot(billing) == before
        assert await close_all(billing) == ["2026-03-02"]
        assert await differences(billing) == []


async def statements_of(billing: Service, step: Step) -> int:
    """How many statements the step sends; it is rolled back."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    event.listen(billing.database.engine.sync_engine, "after_cursor_execute", counted)
    try:
        with pytest.raises(Killed):
            await _step_and_die(billing, step)
    finally:
        event.remove(billing.database.engine.sync_engine, "after_cursor_execute", counted)
    return count


async def _step_and_die(billing: Service, step: Step) -> None:
    async with billing.transaction() as session:
        await step(session)
        raise Killed


async def killed_after(billing: Service, step: Step, statement: int) -> None:
    """Run the step and raise once so many statements were executed."""
    count = 0

    def killing(*_: object) -> None:
        nonlocal count
        count += 1
        if count == statement:
            raise Killed

    event.listen(billing.database.engine.sync_engine, "after_cursor_execute", killing)
    try:
        await _step_and_die(billing, step)
    finally:
        event.remove(billing.database.engine.sync_engine, "after_cursor_execute", killing)
