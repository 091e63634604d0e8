"""Facts billing says, then the fields it reads of facts it hears."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from service_kit.events import Event

# Said


class TaskPriced(Event, topic="billing.prices", name="TaskPriced", version=1):
    task_id: UUID
    fee_cents: int
    reward_cents: int
    priced_at: datetime


class EntryPosted(Event, topic="billing.ledger", name="EntryPosted", version=1):
    entry_id: UUID
    user_guid: UUID
    task_id: UUID | None
    kind: Literal["fee", "reward", "payout"]
    amount_cents: int
    balance_after_cents: int
    business_date: date
    late: bool
    occurred_at: datetime


class PayoutMade(Event, topic="billing.ledger", name="PayoutMade", version=1):
    payout_id: UUID
    user_guid: UUID
    amount_cents: int
    business_date: date
    paid_at: datetime


class DayResultV1(Event, topic="billing.days", name="DayResult", version=1):
    """The four figures of the original contract (S3-33); published beside version 2 under one event id."""

    max_cost_task: int | None
    task_count_profit: int
    task_count_deficit: int
    income: int


class DayResult(Event, topic="billing.days", name="DayResult", version=2):
    max_cost_task: int | None
    task_count_profit: int
    task_count_deficit: int
    income: int
    business_date: date
    time_zone: str
    max_cost_task_id: UUID | None
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    carried_debt_cents: int
    accounts_negative: int
    late_count: int
    closed_at: datetime


SAYS = (TaskPriced, EntryPosted, PayoutMade, DayResultV1, DayResult)

# Heard


class AccountCreated(Event, topic="auth.accounts", name="AccountCreated", version=1):
    user_guid: UUID
    role: str
    created_at: datetime


class AccountUpdated(Event, topic="auth.accounts", name="AccountUpdated", version=1):
    user_guid: UUID
    locale: str | None


class TaskCreated(Event, topic="tracker.tasks", name="TaskCreated", version=2):
    task_id: UUID
    title: str
    jira_id: str | None
    created_at: datetime


class TaskUpdated(Event, topic="tracker.tasks", name="TaskUpdated", version=1):
    task_id: UUID
    title: str
    jira_id: str | None
    updated_at: datetime


class TaskAssigned(Event, topic="tracker.tasks", name="TaskAssigned", version=1):
    task_id: UUID
    user_guid: UUID
    cycle: int
    assigned_at: datetime


class TaskCompleted(Event, topic="tracker.tasks", name="TaskCompleted", version=1):
    task_id: UUID
    user_guid: UUID
    cycle: int
    completed_at: datetime


TaskFact = TaskCreated | TaskUpdated | TaskAssigned | TaskCompleted
