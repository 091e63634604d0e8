"""Facts analytics hears, each with the fields the views read; the raw log keeps the data whole.

Facts that are published in two versions are read in the newer one: both carry one event id, and the newer
says everything the older does.
"""

from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from analytics.domain import EntryKind
from service_kit.events import Event


class AccountCreated(Event, topic="auth.accounts", name="AccountCreated", version=1):
    user_guid: UUID
    role: str
    active: bool


class AccountUpdated(Event, topic="auth.accounts", name="AccountUpdated", version=1):
    user_guid: UUID


class AccountRoleChanged(Event, topic="auth.accounts", name="AccountRoleChanged", version=1):
    user_guid: UUID
    role: str


class AccountBlocked(Event, topic="auth.accounts", name="AccountBlocked", version=1):
    user_guid: UUID
    blocked: bool


class TaskCreated(Event, topic="tracker.tasks", name="TaskCreated", version=2):
    task_id: UUID
    title: str
    jira_id: str | None = None


class TaskUpdated(Event, topic="tracker.tasks", name="TaskUpdated", version=1):
    task_id: UUID
    title: str
    jira_id: str | None = None


class TaskAssigned(Event, topic="tracker.tasks", name="TaskAssigned", version=1):
    task_id: UUID


class TaskCompleted(Event, topic="tracker.tasks", name="TaskCompleted", version=1):
    task_id: UUID


class EntryPosted(Event, topic="billing.ledger", name="EntryPosted", version=1):
    user_guid: UUID
    task_id: UUID | None = None
    kind: EntryKind
    amount_cents: int
    business_date: date
    late: bool


class PayoutMade(Event, topic="billing.ledger", name="PayoutMade", version=1):
    user_guid: UUID


class DayResult(Event, topic="billing.days", name="DayResult", version=2):
    business_date: date
    time_zone: str
    max_cost_task: int | None
    max_cost_task_id: UUID | None = None
    task_count_profit: int
    task_count_deficit: int
    income: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    carried_debt_cents: int
    accounts_negative: int
    late_count: int
    closed_at: datetime


HEARD: tuple[type[Event], ...] = (
    AccountCreated,
    AccountUpdated,
    AccountRoleChanged,
    AccountBlocked,
    TaskCreated,
    TaskUpdated,
    TaskAssigned,
    TaskCompleted,
    EntryPosted,
    PayoutMade,
    DayResult,
)
"""Everything the raw log keeps. Some have no view yet: the log is kept for the questions of tomorrow."""


class Fact(Protocol):
    """What the views need of an event, whether it has just arrived or is read back from the log."""

    @property
    def data(self) -> Event: ...
    @property
    def event_id(self) -> UUID: ...
    @property
    def occurred_at(self) -> datetime: ...
