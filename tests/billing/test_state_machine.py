"""Ledger and day close as a state machine: whatever is done in any order, the books are the model's."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import commands, queries
from billing.domain import COMPANY
from billing.events import TaskAssigned
from service_kit.clock import FixedClock
from service_kit.database import Session
from service_kit.events import Received
from tests.billing.facts import (
    assigned,
    close_all,
    completed,
    created,
    cut_off,
    hear,
    received,
    settle_some,
)
from tests.billing.test_ledger import START, Model
from tests.support.databases import Databases
from tests.support.services import Service

T = TypeVar("T")
WORKERS = [UUID(int=n) for n in range(1, 4)]
HISTORY = """
select md5(string_agg(t::text, '|' order by t.business_date, t.id)) from (
    select e.id, e.business_date, e::text || p.said as said
    from journal_entries e
    join lateral (
        select string_agg(p::text, ',' order by p.account_id) as said from postings p where p.entry_id = e.id
    ) p on true
    where e.business_date <= :day
) t
"""


class Killed(Exception):
    """The process ends here."""


class Exchange(RuleBasedStateMachine):
    """One life of billing. A subclass made by the test gives it its database."""

    make: Callable[[FixedClock], Service]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.clock = FixedClock(START)
        self.billing = type(self).make(self.clock)
        self.model = Model(
            self.billing.settings.price_key.get_secret_value().encode(),  # type: ignore[attr-defined]
            self.billing.settings.zone,
        )
        self.numbers = count(1)
        self.open: dict[UUID, tuple[UUID, int]] = {}
        self.heard: list[Received[Any]] = []
        self.closed: dict[Any, str] = {}
        self.closing = False

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.loop.run(awaited())

    def hear(self, *facts: Received[Any]) -> None:
        self.run(hear(self.billing, *facts))
        self.heard += facts
        for fact in facts:
            self.model.hear(fact.data)

    def scalar(self, sql: str, **parameters: object) -> Any:
        return self.run(self.billing.scalar(sql, **parameters))

    @rule(worker=st.sampled_from(WORKERS), late_h=st.sampled_from([0, 0, 30]))
    def create(self, worker: UUID, late_h: int) -> None:
        task, moment = UUID(int=next(self.numbers) << 64), self.clock.now() - timedelta(hours=late_h)
        self.open[task] = (worker, 1)
        self.hear(created(task, moment=moment), assigned(task, worker, moment))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS))
    def distribute(self, data: st.DataObject, worker: UUID) -> None:
        """All open tasks in one batch, as a press of the button gives them."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.open)), min_size=1, unique=True))
        facts = []
        for task in chosen:
            _, cycle = self.open[task]
            self.open[task] = (worker, cycle + 1)
            facts.append(assigned(task, worker, self.clock.now(), cycle + 1))
        self.hear(*facts)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(sorted(self.open)))
        worker, cycle = self.open.pop(task)
        self.hear(completed(task, worker, self.clock.now(), cycle))

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Events that were handled have no second effect."""
        again = data.draw(st.lists(st.sampled_from(range(len(self.heard))), min_size=1, max_size=5))
        self.run(hear(self.billing, *(self.heard[number] for number in again)))

    @precondition(lambda self: any(isinstance(fact.data, TaskAssigned) for fact in self.heard))
    @rule(data=st.data())
    def deliver_with_other_content(self, data: st.DataObject) -> None:
        """The same id with another worker changes nothing."""
        known = [fact for fact in self.heard if isinstance(fact.data, TaskAssigned)]
        fact = data.draw(st.sampled_from(known))
        other = fact.data.model_copy(update={"user_guid": UUID(int=99)})
        self.run(hear(self.billing, received(other, fact.occurred_at, event_id=fact.event_id)))

    @rule(hours=st.sampled_from([1, 11, 26]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(timedelta(hours=hours))

    @rule(closers=st.integers(1, 3))
    def close(self, closers: int) -> None:
        """Any number of closers at once close what is due."""

        async def together() -> None:
            await asyncio.gather(*(close_all(self.billing) for _ in range(closers)))

        self.run(together())
        if self.closing:
            self.model.settle()
            self.closing = False
        delay = timedelta(seconds=self.billing.settings.close_delay_s)  # type: ignore[attr-defined]
        self.model.close_before((self.clock.now() - delay).astimezone(self.model.zone).date())

    @rule()
    def cut_off(self) -> None:
        """The next day takes no facts any more, and is not settled yet."""
        dates = self.run(cut_off(self.billing))
        assert not (dates and self.closing)
        for day in dates:
            self.model.cut_off(day)
        self.closing |= self.scalar("select exists (select from days where state = 'closing')")

    @precondition(lambda self: self.closing)
    @rule(at_once=st.integers(1, 3))
    def settle_some(self, at_once: int) -> None:
        """One part, of some accounts, or the end of it."""
        self.closing = self.run(settle_some(self.billing, at_once=at_once))
        through = self.scalar("select settled_through from days where state = 'closing'")
        assert (through is not None) == self.closing
        self.model.settle(through)

    @rule(step=st.sampled_from([commands.close_due_days, commands.settle_accounts]))
    def close_and_die(self, step: Callable[[Session], Awaitable[object]]) -> None:
        """A step that ends before its commit leaves nothing."""

        async def die() -> None:
            async with self.billing.transaction() as session:
                await step(session)
                raise Killed

        try:
            self.run(die())
        except Killed:
            return
        raise AssertionError("the close was to be killed")

    @rule()
    def verify(self) -> None:
        """The books agree with the journal at any moment, also in the middle of a close."""

        async def differences() -> list[str]:
            async with self.billing.reading() as session:
                return await queries.differences(session)

        assert self.run(differences()) == []

    @rule()
    def seal(self) -> None:
        async def once() -> None:
            async with self.billing.transaction() as session:
                await commands.seal_entries(session)

        self.run(once())

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        found = self.scalar(
            "select coalesce(json_object_agg(id, balance_cents), '{}') from ledger_accounts"
            " where kind = 'worker'"
        )
        assert found == self.model.balances
        company = self.scalar("select balance_cents from ledger_accounts where id = :id", id=COMPANY)
        assert company == self.model.income

    @invariant()
    def payouts_are_those_of_the_model(self) -> None:
        paid = self.scalar(
            "select coalesce(json_object_agg(business_date || ' ' || account_id, amount_cents), '{}')"
            " from payouts"
        )
        assert paid == {f"{day} {worker}": cents for (day, worker), cents in self.model.paid.items()}

    @invariant()
    def history_never_changes(self) -> None:
        """What counts on a closed day stays as it was when the day was first seen closed."""
        assert self.scalar("select last_closed_date from ledger_state") == self.model.last_closed
        day = self.scalar("select max(business_date) from days where state = 'closed'")
        if day is not None:
            self.closed.setdefault(day, self.scalar(HISTORY, day=day))
        for closed, history in self.closed.items():
            assert self.scalar(HISTORY, day=closed) == history

    def teardown(self) -> None:
        try:
            self.verify()
        finally:
            self.run(self.billing.close())
            self.loop.close()


def test_any_life_of_the_ledger(databases: Databases, tmp_path: Path) -> None:
    """Same balances, payouts, company and closed days as the model after each step; at the end, `verify`."""
    made: list[Service] = []

    def make(clock: FixedClock) -> Service:
        made.append(Service.made("billing", databases, clock, tmp_path))
        return made[-1]

    machine = type("ExchangeOfTest", (Exchange,), {"make": staticmethod(make)})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=8,
                stateful_step_count=20,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for service in made:
            databases.drop(service.addresses)
