"""Facts the tracker says, then what it reads of the facts it hears."""

from datetime import datetime
from uuid import UUID

from service_kit.events import Event


class TaskCreatedV1(Event, topic="tracker.tasks", name="TaskCreated", version=1):
    """As it was before Jira ids had a field: the title carries "[KEY-1] - " in front."""

    task_id: UUID
    user_guid: UUID
    title: str
    created_at: datetime


class TaskCreated(Event, topic="tracker.tasks", name="TaskCreated", version=2):
    """Somebody (`user_guid`) asked for work. Said together with version 1, under one event id."""

    task_id: UUID
    user_guid: UUID
    title: str
    jira_id: str | None
    created_at: datetime


class TaskUpdated(Event, topic="tracker.tasks", name="TaskUpdated", version=1):
    """Somebody (`user_guid`) changed what a task says."""

    task_id: UUID
    user_guid: UUID
    title: str
    jira_id: str | None
    updated_at: datetime


class TaskAssigned(Event, topic="tracker.tasks", name="TaskAssigned", version=1):
    """A task was given to `user_guid`, for the `cycle`-th time; each time costs a fee."""

    task_id: UUID
    user_guid: UUID
    cycle: int
    reason: str
    distribution_id: UUID | None
    assigned_at: datetime


class TaskCompleted(Event, topic="tracker.tasks", name="TaskCompleted", version=1):
    """`user_guid` did the task."""

    task_id: UUID
    user_guid: UUID
    cycle: int
    completed_at: datetime


SAYS = (TaskCreatedV1, TaskCreated, TaskUpdated, TaskAssigned, TaskCompleted)


class AccountCreated(Event, topic="auth.accounts", name="AccountCreated", version=1):
    user_guid: UUID
    role: str
    active: bool
    created_at: datetime


class AccountRoleChanged(Event, topic="auth.accounts", name="AccountRoleChanged", version=1):
    user_guid: UUID
    role: str
    changed_at: datetime


class AccountBlocked(Event, topic="auth.accounts", name="AccountBlocked", version=1):
    """Said for blocking and for unblocking."""

    user_guid: UUID
    blocked: bool
    changed_at: datetime


class TaskPriced(Event, topic="billing.prices", name="TaskPriced", version=1):
    task_id: UUID
    fee_cents: int
    reward_cents: int
