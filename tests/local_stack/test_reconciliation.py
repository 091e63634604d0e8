"""`reconcile` says nothing of sound books and names every kind of difference, by task and account."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson
import pytest

from analytics.commands import record_events
from analytics.events import HEARD
from billing.events import TaskAssigned, TaskCompleted, TaskFact
from local_stack.reconciliation import Verdict, reconcile
from service_kit.events import Event, Received
from tests.billing.facts import assigned, close_all, completed, created, hear, next_night
from tests.support.services import Service

WORKERS = [UUID(int=n) for n in range(1, 5)]
TASKS = [UUID(int=100 + n) for n in range(12)]

PLANTED = {
    "a missing entry": (
        "billing",
        """
        delete from postings where entry_id =
            (select id from journal_entries where kind = 'reward' and task_id = 'FIRST');
        delete from journal_entries where kind = 'reward' and task_id = 'FIRST'
        """,
        {"missing_entry", "unknown_entry", "account_rewards"},
    ),
    "a doubled entry": (
        "billing",
        """
        drop index uq_journal_entries_fee;
        with once as (select * from journal_entries where kind = 'fee' and task_id = 'FIRST'),
        again as (
            insert into journal_entries
            select gen_random_uuid(), gen_random_uuid(), kind, task_id, cycle, business_date, occurred_at,
                   recorded_at, late from once returning id
        )
        insert into postings
        select p.account_id, p.version + 1000, again.id, p.business_date, p.amount_cents,
               p.balance_after_cents
        from again, once join postings p on p.entry_id = once.id
        """,
        {"doubled_entry", "unheard_entry", "account_fees", "account_balance_cents"},
    ),
    "a changed amount": (
        "billing",
        """
        update postings set amount_cents = amount_cents - sign(amount_cents) where entry_id =
            (select id from journal_entries where kind = 'fee' and task_id = 'FIRST')
        """,
        {"other_amount", "other_amount_cents", "account_balance_cents", "day_fees_cents"},
    ),
    "another worker": (
        "billing",
        """
        update postings set account_id = 'OTHER', version = 1000
        where account_id = 'WORKER' and entry_id =
            (select id from journal_entries where kind = 'fee' and task_id = 'FIRST')
        """,
        {"other_account", "other_account_id"},
    ),
    "an entry that nobody earned": (
        "tracker",
        "delete from task_history where kind = 'completed' and task_id = 'FIRST'",
        {"surplus_entry", "surplus_fact"},
    ),
    "an event that analytics lost": (
        "analytics",
        """
        delete from raw_events where seq = (select min(seq) from raw_events where name = 'EntryPosted')
        """,
        {"unheard_entry"},
    ),
    "an account of analytics": (
        "analytics",
        "update accounts set balance_cents = 1",
        {"account_balance_cents"},
    ),
    "a day of analytics": ("analytics", "update day_figures set fees_cents = 1", {"day_fees_cents"}),
    "a result of analytics": (
        "analytics",
        "update day_results set payout_count = 9",
        {"result_payout_count"},
    ),
    "a task of analytics": ("analytics", "delete from task_days", {"task_fees_cents", "task_reward_cents"}),
    "a balance of billing": (
        "billing",
        "update ledger_accounts set balance_cents = balance_cents + 1",
        {"account_balance_cents"},
    ),
    "a price that people see": ("tracker", "update tasks set fee_cents = 1", {"other_price"}),
    "a task that billing never priced": (
        "billing",
        "delete from task_prices where task_id = 'FIRST'",
        {"unpriced_task"},
    ),
    "a letter": ("billing", "delete from letters", {"missing_letter"}),
}
NAMED = {"FIRST": TASKS[0], "WORKER": WORKERS[0], "OTHER": WORKERS[1]}


@dataclass
class Books:
    """Three services that heard of the same work."""

    tracker: Service
    billing: Service
    analytics: Service

    @property
    def readers(self) -> dict[str, str]:
        services = {"tracker": self.tracker, "billing": self.billing, "analytics": self.analytics}
        return {name: service.addresses.reader for name, service in services.items()}

    async def look(self) -> Verdict:
        return await reconcile(self.readers, wait_s=0)

    async def plant(self, service: str, statements: str) -> None:
        """Change what nobody may change: as superuser, past every trigger."""
        for name, guid in NAMED.items():
            statements = statements.replace(name, str(guid))
        connection = await asyncpg.connect(getattr(self, service).addresses.superuser)
        try:
            await connection.execute("set session_replication_role = replica")
            await connection.execute(statements)
        finally:
            await connection.close()


@pytest.fixture
async def books(make_service: Callable[..., Service]) -> Books:
    """Work of one closed day and of an open one, heard by all."""
    found = Books(make_service("tracker"), make_service("billing"), make_service("analytics"))
    facts: list[Received[TaskFact]] = []
    for number, task in enumerate(TASKS):
        moment = found.billing.clock.now()
        worker = WORKERS[number % 3]
        facts = [created(task, moment=moment), assigned(task, worker, moment)]
        facts += [completed(task, worker, moment)] if number % 4 != 3 else []
        await hear(found.billing, *facts)
        await _tracker_did(found.tracker, facts)
        await _analytics_heard(found.analytics, [fact for fact in facts if fact.data.name != "TaskCreated"])
        if number == 7:
            next_night(found.billing)
            await close_all(found.billing)
    await _analytics_heard(found.analytics, await _said(found.billing))
    await _tracker_knows_prices(found)
    return found


async def _tracker_did(tracker: Service, facts: list[Received[TaskFact]]) -> None:
    connection = await asyncpg.connect(tracker.addresses.superuser)
    try:
        await connection.execute("set session_replication_role = replica")
        for fact in facts:
            if isinstance(fact.data, TaskAssigned | TaskCompleted):
                kind = "assigned" if isinstance(fact.data, TaskAssigned) else "completed"
                await connection.execute(
                    "insert into task_history (id, task_id, kind, cycle, actor_id, assignee_id, occurred_at)"
                    " values ($1, $2, $3, $4, $5, $5, $6)",
                    *(fact.event_id, fact.data.task_id, kind, fact.data.cycle, fact.data.user_guid),
                    fact.occurred_at,
                )
    finally:
        await connection.close()


async def _tracker_knows_prices(books: Books) -> None:
    """The tracker's tasks, with the prices it heard of."""
    connection = await asyncpg.connect(books.tracker.addresses.superuser)
    try:
        await connection.execute("set session_replication_role = replica")
        for row in await books.billing.said():
            if row["name"] == "TaskPriced":
                await connection.execute(
                    "insert into tasks (id, title, description, status, assignee_id, cycle, assigned_at,"
                    " created_by, created_at, version, fee_cents, reward_cents)"
                    " values ($1, 'Task', '', 'open', $2, 1, $3, $2, $3, 1, $4, $5)",
                    *(UUID(row["data"]["taskId"]), WORKERS[0], row["occurred_at"]),
                    *(row["data"]["feeCents"], row["data"]["rewardCents"]),
                )
    finally:
        await connection.close()


async def _said(billing: Service) -> list[Received[Event]]:
    classes = {(event.topic, event.name, event.version): event for event in HEARD}
    return [
        Received(
            data=classes[row["topic"], row["name"], row["version"]].model_validate(row["data"]),
            event_id=row["event_id"],
            occurred_at=row["occurred_at"],
            key=row["key"],
            correlation_id=None,
            topic=row["topic"],
            partition=0,
            offset=0,
            sent_at=row["recorded_at"],
            raw=orjson.dumps(row["data"]),
        )
        for row in await billing.said()
        if (row["topic"], row["name"], row["version"]) in classes
    ]


async def _analytics_heard(analytics: Service, facts: list[Received[Event]]) -> None:
    async with analytics.transaction() as session:
        await record_events(session, facts)


async def test_sound_books_agree(books: Books) -> None:
    """Nothing differs, and everything was looked at."""
    verdict = await books.look()
    assert verdict.agree, verdict.differences
    assert verdict.compared["work in the ledger"] == 12 + 9
    assert verdict.compared["payouts in analytics"] > 0
    assert all(verdict.compared.values())


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_planted_difference_is_named(books: Books, planted: str) -> None:
    """Each is found, under its own name."""
    service, statements, expected = PLANTED[planted]
    await books.plant(service, statements)
    verdict = await books.look()
    assert expected <= {difference.what for difference in verdict.differences}, verdict.differences


async def test_a_difference_names_its_task_and_account(books: Books) -> None:
    """Whoever reads it knows where to look."""
    await books.plant("billing", PLANTED["a missing entry"][1])
    (missing,) = [d for d in (await books.look()).differences if d.what == "missing_entry"]
    assert (missing.task_id, missing.account_id) == (str(TASKS[0]), str(WORKERS[0]))


async def test_a_sum_names_who_has_which(books: Books) -> None:
    await books.plant("analytics", PLANTED["a result of analytics"][1])
    (first, *_) = [d for d in (await books.look()).differences if d.what == "result_payout_count"]
    assert first.sentence.endswith(" in billing and 9 in analytics")


async def test_what_was_heard_may_be_any_integer_of_its_contract(books: Books) -> None:
    """A contract sets no upper bound, and 1.0 is an integer of it: neither may end the comparison."""
    change = "update raw_events set data = jsonb_set(data, '{{cycle}}', '{}') where name = '{}'"
    await books.plant("analytics", change.format("1.0", "TaskAssigned"))
    assert (await books.look()).agree
    await books.plant("analytics", change.format(10**30, "TaskCompleted"))
    assert {difference.what for difference in (await books.look()).differences} == {
        "unheard_fact",
        "surplus_fact",
    }


async def test_what_was_heard_may_be_of_another_type(books: Books) -> None:
    """It is named, and compared with nothing."""
    change = "update raw_events set data = jsonb_set(data, '{{{}}}', '\"one\"') where name = '{}'"
    await books.plant("analytics", change.format("cycle", "TaskAssigned"))
    await books.plant("analytics", change.format("businessDate", "EntryPosted"))
    verdict = await books.look()
    kinds = {difference.what for difference in verdict.differences}
    assert kinds == {"unreadable_fact", "unheard_fact", "unheard_entry"}
    assert "keeps a TaskAssigned with values of other types" in str(verdict.differences)


async def test_news_on_its_way_is_no_difference(books: Books) -> None:
    """What differs in the first look and has arrived by the next one is not reported."""
    fact = assigned(UUID(int=500), WORKERS[0], books.billing.clock.now())
    await _tracker_did(books.tracker, [fact])
    assert "missing_entry" in {difference.what for difference in (await books.look()).differences}
    arriving: list[asyncio.Future[None]] = []

    async def arrive() -> None:
        await hear(books.billing, created(fact.data.task_id), fact)
        await books.plant("tracker", "delete from tasks")
        await _tracker_knows_prices(books)
        await _analytics_heard(books.analytics, [fact, *(await _said(books.billing))])

    def begin(_: str) -> None:
        if not arriving:
            arriving.append(asyncio.ensure_future(arrive()))

    verdict = await reconcile(books.readers, wait_s=30, progress=begin)
    assert arriving
    assert (verdict.agree, verdict.looks > 1) == (True, True)
