"""The ledger written again from the events gives the live one, row by row; what differs is shown."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from billing.__main__ import replay_ledger
from billing.commands import replaying
from service_kit.clock import FixedClock
from service_kit.context import Context
from service_kit.database import Database
from service_kit.events import Received
from service_kit.rereading import Said
from tests.billing.facts import (
    NOON,
    close_all,
    cut_off,
    hear,
    next_night,
    settle_some,
    snapshot,
    working_day,
)
from tests.billing.test_ledger import History
from tests.support.services import Service

WORKERS = [UUID(int=n) for n in range(1, 6)]


class Topics:
    """What was said, in the order of the topics' partitions and not in that of the ledger."""

    def __init__(self) -> None:
        self.facts: list[Received[Any]] = []
        self.read = 0

    def say(self, facts: Sequence[Received[Any]]) -> None:
        self.facts += facts

    async def unread(self) -> AsyncIterator[Sequence[Said]]:
        end = len(self.facts)
        heard, self.read = self.facts[self.read : end], end
        heard.sort(key=lambda fact: (fact.data.task_id.int % 4, fact.offset))
        new = [Said(fact.data.type_name(), fact.event_id, fact.occurred_at, fact.raw) for fact in heard]
        for start in range(0, len(new), 7):
            # Doubled, as after a broker was lost.
            yield new[start : start + 7] + new[start : start + 2]


@pytest.fixture
async def history(billing: Service) -> Topics:
    """A random life with late and doubled facts, distributions and nights.

    Some days are closed at once and some with facts coming between the parts; the last one is still closing.
    """
    random, topics = Random(5), Topics()
    life = History(random, WORKERS)
    for step in range(30):
        if step % 6 == 5:
            life.now += timedelta(hours=random.choice([12, 24, 50]))
        billing.clock.set(life.now)
        if random.random() < 0.4:
            await close_all(billing, at_once=3)
        elif not await cut_off(billing):
            await settle_some(billing, at_once=random.randint(1, 4))
        facts = life.facts()
        topics.say(facts)
        await hear(billing, *facts)
    next_night(billing)
    await close_all(billing)
    facts = working_day(WORKERS, billing.clock.now())
    topics.say(facts)
    await hear(billing, *facts)
    next_night(billing)
    await cut_off(billing)
    await settle_some(billing, at_once=4)
    return topics


async def test_in_the_middle_of_a_close(billing: Service) -> None:
    """After each part, with facts of the new day and late ones between them, the replay gives the same."""
    topics, random = Topics(), Random(7)

    async def work(moment: datetime) -> None:
        facts = working_day(random.sample(WORKERS, k=3), moment)
        topics.say(facts)
        await hear(billing, *facts)

    for day in range(3):
        billing.clock.set(NOON + timedelta(days=day))
        for _ in range(3):
            await work(billing.clock.now())
        next_night(billing)
        await cut_off(billing)
        more = True
        while more:
            await work(billing.clock.now())
            await work(NOON)
            topics.read = 0
            _, found, _ = await replay(billing, topics)
            assert found.agree, found.differences
            more = await settle_some(billing, at_once=4)
    assert await billing.scalar("select count(*) from days where state = 'closed'") == 3
    behind_the_cut = await billing.scalar(
        "select count(*) from payouts p join postings paid on paid.entry_id = p.id"
        " join postings last on last.account_id = paid.account_id and last.version = paid.version - 1"
        " where paid.account_id = p.account_id and last.business_date > paid.business_date"
    )
    assert behind_the_cut > 3


async def replay(
    billing: Service, topics: Topics, begin: date | None = None, *, repair: bool = False
) -> tuple[replaying.Progress, replaying.Comparison, bool]:
    """Through a connection of its own, as the command makes it, with a clock of its own."""
    # The rights on a database itself do not come along when it is cloned; the migration had given this one.
    await tamper(billing, f"grant temporary on database {billing.addresses.name} to billing_service")
    async with billing.transaction():
        pass  # loads the schemas of what billing says
    context = billing.database.context
    assert isinstance(context, Context)
    own = Context(context.settings, FixedClock(NOON), context.schemas)
    database = Database(billing.addresses.service, pool_size=2, context=own, name="replay-test")
    try:
        return await replay_ledger(database, topics, begin, repair=repair)
    finally:
        await database.close()


async def tamper(billing: Service, *statements: str) -> None:
    connection = await asyncpg.connect(billing.addresses.superuser)
    try:
        await connection.execute("set session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_it_gives_the_live_ledger(billing: Service, history: Topics) -> None:
    """Same entries, postings in the same order, payouts, days; and the live tables are as they were."""
    before = await snapshot(billing)
    progress, found, _ = await replay(billing, history)
    assert found.agree, found.differences
    assert progress.days == await billing.scalar("select count(*) from days where state = 'closed'") > 3
    assert found.rows["journal_entries"] == await billing.scalar("select count(*) from journal_entries") > 50
    assert await billing.scalar("select count(*) from journal_entries where late") > 0
    assert await snapshot(billing) == before


async def test_a_ledger_of_nothing(billing: Service) -> None:
    """Before the first fact, and with one that nobody has handled yet, there is nothing to differ in."""
    topics = Topics()
    for facts in ([], working_day(WORKERS, billing.clock.now())):
        topics.say(facts)
        progress, found, _ = await replay(billing, topics)
        assert found.agree, found.differences
        assert (progress.days, found.rows["journal_entries"]) == (0, 0)


async def test_from_a_day(billing: Service, history: Topics) -> None:
    """From any closed day on, replaying what came after it gives the rest of the ledger."""
    days = await billing.scalar(
        "select array_agg(business_date order by business_date) from days where state = 'closed'"
    )
    for day in days:
        history.read = 0
        _, found, _ = await replay(billing, history, day + timedelta(days=1))
        assert found.agree, (day, found.differences)


async def test_an_idle_day_that_was_closed_late(billing: Service) -> None:
    """Work of the day behind it, which the ledger had by then, is not counted as missing."""
    topics = Topics()
    for day in (0, 2):
        billing.clock.set(NOON + timedelta(days=day))
        facts = working_day(WORKERS, billing.clock.now())
        topics.say(facts)
        await hear(billing, *facts)
        if day == 0:
            next_night(billing)
            await close_all(billing)
    next_night(billing, nights=3)
    assert await close_all(billing) == ["2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"]
    progress, comparison, _ = await replay(billing, topics)
    assert comparison.differences == []
    assert comparison.agree
    assert progress.days == 5


async def test_there_is_no_floor_in_an_open_day(billing: Service, history: Topics) -> None:
    """A day that is still open is nothing to start behind."""
    with pytest.raises(replaying.NoFirmGround, match="is not a closed day"):
        await replay(billing, history, date(2026, 12, 1))


async def test_topics_that_begin_later_than_the_ledger(billing: Service, history: Topics) -> None:
    """What they have dropped is told with the first day that they hold whole; from there all agrees."""
    days = await billing.scalar(
        "select array_agg(business_date order by business_date) from days where state = 'closed'"
    )
    gone = await billing.scalar(
        "select array_agg(event_id) from journal_entries where business_date <= :day", day=days[1]
    )
    history.facts = [fact for fact in history.facts if fact.event_id not in gone]
    later = days[1] + timedelta(days=1)
    with pytest.raises(replaying.NoFirmGround, match=f"--from {later} or later"):
        await replay(billing, history)
    history.read = 0
    _, found, _ = await replay(billing, history, later)
    assert found.agree, found.differences


DAMAGE = {
    "an amount": (
        (
            "update postings set amount_cents = amount_cents + sign(amount_cents) where entry_id ="
            " (select entry_id from postings order by entry_id limit 1)"
        ),
        "postings",
    ),
    "a missing entry": (
        (
            "delete from postings where entry_id = (select id from journal_entries where kind = 'reward'"
            " order by id limit 1); delete from journal_entries where id = (select id from journal_entries"
            " where kind = 'reward' order by id limit 1)"
        ),
        "journal_entries",
    ),
    "a surplus entry": (
        (
            "insert into journal_entries values (gen_random_uuid(), gen_random_uuid(), 'fee',"
            " gen_random_uuid(), 1, '2026-03-26', now(), now(), false)"
        ),
        "journal_entries",
    ),
    "a price": ("update task_prices set fee_cents = fee_cents + 100", "task_prices"),
    "a payout": (
        "update payouts set amount_cents = amount_cents + 1",
        "payouts",
    ),
    "a figure of a day": ("update days set fees_cents = 1 where state = 'closed'", "days"),
    "a missing letter": ("delete from letters", "letters"),
    "a kept sum": ("update ledger_accounts set balance_cents = balance_cents + 1", "ledger_accounts"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_difference_is_shown(billing: Service, history: Topics, damage: str) -> None:
    """Row by row, with both sides."""
    statements, table = DAMAGE[damage]
    await tamper(billing, *statements.split("; "))
    _, found, repaired = await replay(billing, history)
    assert found.counts[table] > 0
    shown = [difference for difference in found.differences if difference.table == table]
    assert all(difference.live != difference.replayed for difference in shown)
    assert shown
    assert not repaired


async def test_kept_sums_can_be_repaired(billing: Service, history: Topics) -> None:
    """In one transaction with the comparison."""
    sound = await snapshot(billing)
    await tamper(
        billing, "update ledger_accounts set balance_cents = balance_cents + 1, version = version + 2"
    )
    _, found, repaired = await replay(billing, history, repair=True)
    assert (found.agree, found.repairable, repaired) == (False, True, True)
    assert await snapshot(billing) == sound


async def test_history_is_never_repaired(billing: Service, history: Topics) -> None:
    """A ledger is corrected by entries."""
    await tamper(billing, *DAMAGE["an amount"][0].split("; "))
    before = await snapshot(billing)
    _, found, repaired = await replay(billing, history, repair=True)
    assert (found.agree, repaired) == (False, False)
    assert await snapshot(billing) == before


async def test_events_may_keep_coming(make_service: Callable[..., Service]) -> None:
    """Work and nights go on while replays run; none of them sees a difference."""
    billing, topics = make_service("billing"), Topics()
    billing.clock.set(NOON)

    async def live() -> None:
        for _ in range(6):
            for worker in WORKERS:
                facts = working_day([worker], billing.clock.now())
                topics.say(facts)
                await hear(billing, *facts)
            next_night(billing)
            await close_all(billing, at_once=4)

    living = asyncio.create_task(live())
    replays = 0
    while not living.done():
        topics.read = 0
        _, found, _ = await replay(billing, topics)
        assert found.agree, found.differences
        replays += 1
    await living
    assert replays > 1


async def test_facts_not_yet_handled_are_no_difference(billing: Service, history: Topics) -> None:
    """What the live consumer has still before it is left to it."""
    topics = history
    topics.say(working_day(WORKERS, billing.clock.now()))
    _, found, _ = await replay(billing, topics)
    assert found.agree


async def test_what_came_back_repaired_is_replayed_as_it_acted(billing: Service, history: Topics) -> None:
    """The broken record still lies in its topic, under the same event id and before the repaired one."""
    facts = working_day(WORKERS, billing.clock.now())
    topics = history
    topics.say([fact._replace(raw=b'{"cycle": "one"}') for fact in facts])
    topics.say(facts)
    await hear(billing, *facts)
    last_closed = await billing.scalar("select max(business_date) from days where state = 'closed'")
    for begin in (None, last_closed + timedelta(days=1)):
        topics.read = 0
        _, found, _ = await replay(billing, topics, begin)
        assert found.agree, (begin, found.differences)
