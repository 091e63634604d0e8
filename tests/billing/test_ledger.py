"""The ledger on real PostgreSQL against a model in plain Python, over random histories."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from billing import queries
from billing.domain import COMPANY, EntryKind, price_task
from billing.events import TaskAssigned, TaskCompleted, TaskFact
from service_kit.events import Received
from tests.billing.facts import assigned, close_all, completed, created, hear
from tests.support.services import Service

START = datetime(2026, 3, 26, 9, 0, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")


@dataclass
class Model:
    """The rules once more, as simply as they can be said: no caches, no sets, no order of locks."""

    key: bytes
    zone: Any
    entries: list[tuple[EntryKind, UUID, int, date]] = field(default_factory=list)
    last_closed: date | None = None
    paid: dict[tuple[date, UUID], int] = field(default_factory=dict)
    incomes: dict[date, int] = field(default_factory=dict)

    def hear(self, fact: TaskFact) -> None:
        match fact:
            case TaskAssigned():
                kind, moment = EntryKind.FEE, fact.assigned_at
            case TaskCompleted():
                kind, moment = EntryKind.REWARD, fact.completed_at
            case _:
                return
        day = moment.astimezone(self.zone).date()
        if self.last_closed is not None:
            day = max(day, self.last_closed + timedelta(days=1))
        amount = price_task(fact.task_id, self.key).of(kind)
        self.entries.append((kind, fact.user_guid, amount if kind is EntryKind.REWARD else -amount, day))

    def close_before(self, today: date) -> None:
        if self.last_closed is None and not self.entries:
            return
        day = self.last_closed + timedelta(days=1) if self.last_closed else min(e[3] for e in self.entries)
        while day < today:
            self.cut_off(day)
            self.settle()
            day += timedelta(days=1)

    def cut_off(self, day: date) -> None:
        self.incomes[day] = -sum(cents for _, _, cents, at in self.entries if at == day)
        self.last_closed = day

    def settle(self, through: UUID | None = None) -> None:
        """Pay what the last day that was cut off left to accounts, up to one of them or to all."""
        day = self.last_closed
        assert day is not None
        for worker in {e[1] for e in self.entries if through is None or e[1] <= through}:
            standing = sum(cents for _, who, cents, at in self.entries if who == worker and at <= day)
            if standing > 0:
                self.entries.append((EntryKind.PAYOUT, worker, -standing, day))
                self.paid[day, worker] = standing

    @property
    def balances(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for _, worker, cents, _ in self.entries:
            sums[str(worker)] += cents
        return dict(sums)

    @property
    def income(self) -> int:
        return -sum(cents for kind, _, cents, _ in self.entries if kind is not EntryKind.PAYOUT)


@dataclass
class History:
    """A random life of an exchange: work, shuffles, nights, late, doubled and batched events."""

    random: Random
    workers: list[UUID]
    open_tasks: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)
    heard: list[Received[TaskFact]] = field(default_factory=list)
    now: datetime = START

    def facts(self) -> list[Received[TaskFact]]:
        facts: list[Received[TaskFact]] = []
        for _ in range(self.random.randint(1, 12)):
            self.now += timedelta(minutes=self.random.randint(0, 40))
            # Some facts were held up somewhere for hours or days.
            moment = self.now - self.random.choice([timedelta(), timedelta(), timedelta(hours=30)])
            facts += self._fact(moment)
        self.heard += facts
        repeated = self.random.sample(self.heard, k=min(len(self.heard), self.random.randint(0, 3)))
        return facts + repeated

    def _fact(self, moment: datetime) -> list[Received[TaskFact]]:
        worker = self.random.choice(self.workers)
        chance = self.random.random()
        if chance < 0.5 or not self.open_tasks:
            task = UUID(int=self.random.getrandbits(128), version=4)
            self.open_tasks[task] = (worker, 1)
            return [created(task, moment=moment), assigned(task, worker, moment)]
        task = self.random.choice(sorted(self.open_tasks))
        owner, cycle = self.open_tasks[task]
        if chance < 0.7:
            self.open_tasks[task] = (worker, cycle + 1)
            return [assigned(task, worker, moment, cycle + 1)]
        del self.open_tasks[task]
        return [completed(task, owner, moment, cycle)]


@pytest.mark.parametrize("seed", range(8))
async def test_ledger_agrees_with_the_model(make_service: Callable[..., Service], seed: int) -> None:
    """After any history: same balances, payouts and incomes as the model, and nothing to verify away."""
    random = Random(seed)
    billing = make_service("billing", business_time_zone=ZONES[seed % len(ZONES)])
    model = Model(billing.settings.price_key.get_secret_value().encode(), billing.settings.zone)  # type: ignore[attr-defined]
    history = History(random, [UUID(int=n) for n in range(1, 6)])
    known: set[UUID] = set()
    for _ in range(25):
        if random.random() < 0.2:
            history.now += timedelta(hours=random.choice([1, 12, 24, 75]))
        billing.clock.set(history.now)
        if random.random() < 0.3:
            billing.clock.advance(timedelta(minutes=2))
            history.now += timedelta(minutes=2)
            # The delay of one minute is over whenever the date two minutes ago was the same.
            before = billing.clock.now() - timedelta(seconds=billing.settings.close_delay_s)  # type: ignore[attr-defined]
            model.close_before(before.astimezone(model.zone).date())
            await close_all(billing)
        facts = history.facts()
        for fact in facts:
            if fact.event_id not in known:
                known.add(fact.event_id)
                model.hear(fact.data)
        await hear(billing, *facts)
    found = await billing.scalar(
        "select json_object_agg(id, balance_cents) from ledger_accounts where kind = 'worker'"
    )
    assert found == model.balances, f"seed {seed}"
    company = await billing.scalar("select balance_cents from ledger_accounts where id = :id", id=COMPANY)
    assert company == model.income
    paid = await billing.scalar(
        "select json_object_agg(business_date || ' ' || account_id, amount_cents) from payouts"
    )
    assert (paid or {}) == {f"{day} {worker}": cents for (day, worker), cents in model.paid.items()}
    incomes = await billing.scalar(
        "select json_object_agg(business_date, fees_cents - rewards_cents) from days where state = 'closed'"
    )
    assert (incomes or {}) == {str(day): cents for day, cents in model.incomes.items()}
    async with billing.reading() as session:
        assert await queries.differences(session) == []


@pytest.mark.parametrize("seed", range(3))
async def test_posters_side_by_side(billing: Service, seed: int) -> None:
    """Any number of posters with the same workers, and the same events twice, end in equal balances."""
    random = Random(seed)
    history = History(random, [UUID(int=n) for n in range(1, 4)])
    streams: list[list[Received[TaskFact]]] = [[] for _ in range(4)]
    for fact in (fact for _ in range(20) for fact in history.facts()):
        # Facts of one task stay in one stream, as in one partition.
        streams[fact.data.task_id.int % 4].append(fact)

    async def poster(stream: list[Received[TaskFact]]) -> None:
        while stream:
            size = random.randint(1, 20)
            batch, stream = stream[:size], stream[size:]
            await hear(billing, *batch)

    await asyncio.gather(*(poster(stream) for stream in streams), *(poster(stream) for stream in streams))
    model = Model(billing.settings.price_key.get_secret_value().encode(), billing.settings.zone)  # type: ignore[attr-defined]
    for fact in history.heard:
        model.hear(fact.data)
    found = await billing.scalar(
        "select json_object_agg(id, balance_cents) from ledger_accounts where kind = 'worker'"
    )
    assert found == model.balances
    async with billing.reading() as session:
        assert await queries.differences(session) == []
