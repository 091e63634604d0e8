"""Makers of facts as analytics hears them, in the words of the contracts, and the hearing of them."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from analytics import events
from analytics.commands import record_events
from service_kit.events import Event, Received
from tests.support.services import Service

MONDAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def guid(number: int) -> UUID:
    """The same id for the same number, and greater for a greater one."""
    return UUID(int=(7 << 76) | (2 << 62) | number)


def heard(
    event: type[Event], /, *, number: int, key: UUID | date, at: datetime = NOON, **fields: Any
) -> Received[Any]:
    """Fact number `number`, as the consumer hands it over."""
    raw = orjson.dumps({_camel(name): value for name, value in fields.items()}, default=str)
    return Received(
        data=event.model_validate_json(raw),
        event_id=guid(number),
        occurred_at=at,
        key=str(key),
        correlation_id="a-click",
        topic=event.topic,
        partition=0,
        offset=number,
        sent_at=at,
        traceparent=None,
        raw=raw,
    )


def entry(
    number: int,
    kind: str,
    amount_cents: int,
    *,
    user: int = 1,
    task: int | None = 1,
    day: date = MONDAY,
    late: bool = False,
) -> Received[events.EntryPosted]:
    """An entry of a worker's account; the amount is signed as the worker sees it."""
    return heard(
        events.EntryPosted,
        number=number,
        key=guid(user),
        entry_id=guid(number),
        user_guid=guid(user),
        task_id=None if task is None else guid(task),
        kind=kind,
        amount_cents=amount_cents,
        balance_after_cents=0,
        business_date=day,
        late=late,
        occurred_at=NOON,
    )


def fee(number: int, cents: int, **fields: Any) -> Received[events.EntryPosted]:
    return entry(number, "fee", -cents, **fields)


def reward(number: int, cents: int, **fields: Any) -> Received[events.EntryPosted]:
    return entry(number, "reward", cents, **fields)


def payout(number: int, cents: int, **fields: Any) -> Received[events.EntryPosted]:
    return entry(number, "payout", -cents, **fields | {"task": None})


def created(number: int, task: int, title: str, jira_id: str | None = None) -> Received[events.TaskCreated]:
    return heard(
        events.TaskCreated,
        number=number,
        key=guid(task),
        task_id=guid(task),
        user_guid=guid(1),
        title=title,
        jira_id=jira_id,
        created_at=NOON,
    )


def updated(number: int, task: int, title: str, *, minutes: int) -> Received[events.TaskUpdated]:
    at = NOON + timedelta(minutes=minutes)
    return heard(
        events.TaskUpdated,
        number=number,
        key=guid(task),
        at=at,
        task_id=guid(task),
        user_guid=guid(1),
        title=title,
        jira_id=None,
        updated_at=at,
    )


def account(number: int, user: int, role: str = "worker") -> Received[events.AccountCreated]:
    return heard(
        events.AccountCreated,
        number=number,
        key=guid(user),
        user_guid=guid(user),
        role=role,
        active=True,
        created_at=NOON,
    )


def role_changed(number: int, user: int, role: str, *, minutes: int) -> Received[events.AccountRoleChanged]:
    at = NOON + timedelta(minutes=minutes)
    return heard(
        events.AccountRoleChanged,
        number=number,
        key=guid(user),
        at=at,
        user_guid=guid(user),
        role=role,
        changed_at=at,
    )


def blocked(number: int, user: int, blocked: bool, *, minutes: int) -> Received[events.AccountBlocked]:  # noqa: FBT001
    at = NOON + timedelta(minutes=minutes)
    return heard(
        events.AccountBlocked,
        number=number,
        key=guid(user),
        at=at,
        user_guid=guid(user),
        blocked=blocked,
        changed_at=at,
    )


def day_result(number: int, day: date = MONDAY, **fields: Any) -> Received[events.DayResult]:
    figures: dict[str, Any] = {
        "max_cost_task": None,
        "task_count_profit": 0,
        "task_count_deficit": 0,
        "income": 0,
        "business_date": day,
        "time_zone": "Europe/Moscow",
        "max_cost_task_id": None,
        "fees_cents": 0,
        "rewards_cents": 0,
        "payouts_cents": 0,
        "payout_count": 0,
        "carried_debt_cents": 0,
        "accounts_negative": 0,
        "late_count": 0,
        "closed_at": NOON + timedelta(hours=13),
    }
    return heard(events.DayResult, number=number, key=day, **figures | fields)


def a_history(seed: int, *, tasks: int = 60, days: int = 10) -> list[Received[Any]]:
    """A plausible past: people, tasks, entries on several days, titles and roles that change."""
    draw = random.Random(seed)
    numbers = iter(range(1_000, 1_000_000))
    facts: list[Received[Any]] = [account(next(numbers), user) for user in range(1, 8)]
    for task in range(1, tasks + 1):
        day = MONDAY + timedelta(days=draw.randrange(days))
        user = draw.randrange(1, 8)
        facts.append(created(next(numbers), task, f"Task {task}"))
        facts += [
            fee(next(numbers), 1_500, user=user, task=task, day=day) for _ in range(draw.randrange(1, 4))
        ]
        if draw.random() < 0.7:
            dollars = draw.randrange(20, 41)
            facts.append(reward(next(numbers), dollars * 100, user=user, task=task, day=day))
        if draw.random() < 0.3:
            facts.append(updated(next(numbers), task, f"Task {task}, renamed", minutes=draw.randrange(1, 60)))
    facts.append(role_changed(next(numbers), 3, "manager", minutes=5))
    facts.append(blocked(next(numbers), 4, True, minutes=6))
    facts.append(blocked(next(numbers), 4, False, minutes=7))
    facts.append(payout(next(numbers), 2_000, user=1, day=MONDAY))
    facts += [day_result(next(numbers), MONDAY + timedelta(days=n), income=n * 100) for n in range(3)]
    return facts


async def hear(service: Service, *heard: Received[Any]) -> None:
    async with service.transaction() as session:
        await record_events(session, heard)


def batches(facts: Sequence[Received[Any]], size: int) -> list[Sequence[Received[Any]]]:
    return [facts[start : start + size] for start in range(0, len(facts), size)]


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
