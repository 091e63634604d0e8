"""Facts about tasks as billing receives them, and the ways tests hand them over."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from billing import commands
from billing.events import TaskAssigned, TaskCompleted, TaskCreated, TaskFact
from service_kit.events import Received
from service_kit.ids import new_id
from service_kit.inbox import first_time
from tests.support.services import Service

NOON = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def received(fact: TaskFact, moment: datetime, *, event_id: UUID | None = None) -> Received[TaskFact]:
    return Received(
        data=fact,
        event_id=event_id or new_id(),
        occurred_at=moment,
        key=str(fact.task_id),
        correlation_id=None,
        topic="tracker.tasks",
        partition=0,
        offset=0,
        sent_at=moment,
        raw=fact.to_json(),
    )


def created(task: UUID, title: str = "Mend the roof", moment: datetime = NOON) -> Received[TaskFact]:
    return received(TaskCreated(task_id=task, title=title, jira_id="KEY-1", created_at=moment), moment)


def assigned(task: UUID, worker: UUID, moment: datetime = NOON, cycle: int = 1) -> Received[TaskFact]:
    fact = TaskAssigned(task_id=task, user_guid=worker, cycle=cycle, assigned_at=moment)
    return received(fact, moment)


def completed(task: UUID, worker: UUID, moment: datetime = NOON, cycle: int = 1) -> Received[TaskFact]:
    fact = TaskCompleted(task_id=task, user_guid=worker, cycle=cycle, completed_at=moment)
    return received(fact, moment)


async def hear(billing: Service, *facts: Received[TaskFact]) -> None:
    """Handle the facts as the worker does: proof and effect in one transaction."""
    async with billing.transaction() as session:
        fresh: Sequence[Received[TaskFact]] = await first_time(session, facts)
        await commands.post_task_facts(session, fresh)


async def close_all(billing: Service, *, at_once: int = 5_000) -> list[str]:
    """Close every day that is due, as the worker's tick does; answers the dates of those it cut off."""
    closed: list[str] = []
    while True:
        while await settle_some(billing, at_once=at_once):
            pass
        days = await cut_off(billing)
        while await settle_some(billing, at_once=at_once):
            pass
        while await say_some(billing):
            pass
        if not days:
            return closed
        closed += [day.isoformat() for day in days]


async def cut_off(billing: Service) -> list[date]:
    async with billing.transaction() as session:
        return await commands.close_due_days(session)


async def settle_some(billing: Service, *, at_once: int = 5_000) -> bool:
    async with billing.transaction() as session:
        return await commands.settle_accounts(session, at_once=at_once)


async def say_some(billing: Service) -> bool:
    async with billing.transaction() as session:
        return await commands.say_closed_days(session)


def next_night(billing: Service, nights: int = 1) -> None:
    """Move the business clock to five minutes past the next midnight, or a later one."""
    zone = billing.settings.zone
    local = billing.clock.now().astimezone(zone)
    midnight = datetime.combine(local.date() + timedelta(days=nights), datetime.min.time(), tzinfo=zone)
    billing.clock.set(midnight + timedelta(minutes=5))


def working_day(workers: Sequence[UUID], moment: datetime = NOON) -> list[Received[TaskFact]]:
    """Each worker gets two tasks; the first, third ... do both and earn, the others end in debt."""
    facts: list[Received[TaskFact]] = []
    for number, worker in enumerate(workers):
        done, left = new_id(), new_id()
        facts += [created(done, moment=moment), assigned(done, worker, moment)]
        facts += [created(left, moment=moment), assigned(left, worker, moment)]
        if number % 2 == 0:
            facts += [
                completed(done, worker, moment + timedelta(minutes=1)),
                completed(left, worker, moment + timedelta(minutes=2)),
            ]
    return facts


async def a_working_day(billing: Service, workers: Sequence[UUID], moment: datetime = NOON) -> None:
    await hear(billing, *working_day(workers, moment))


TABLES = {
    "journal_entries": "id",
    "postings": "account_id, version",
    "payouts": "id",
    "letters": "payout_id",
    "days": "business_date",
    "unsaid_days": "business_date",
    "ledger_accounts": "id",
    "ledger_state": "id",
}


async def snapshot(billing: Service) -> dict[str, object]:
    """Everything a close writes, as text, with the facts it said."""
    found: dict[str, object] = {}
    for table, order in TABLES.items():
        found[table] = await billing.scalar(
            f"select string_agg(t::text, chr(10) order by {order}) from {table} t"  # noqa: S608  our own names
        )
    found["said"] = [
        (row["event_id"], row["name"], row["version"], row["data"]) for row in await billing.said()
    ]
    return found
