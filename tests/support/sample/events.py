"""Two facts of the tracker, as a service would say or read them; the contracts are the real ones."""

from datetime import datetime
from uuid import UUID

from service_kit.events import Event


class TaskCompleted(Event, topic="tracker.tasks", name="TaskCompleted", version=1):
    task_id: UUID
    user_guid: UUID
    cycle: int
    completed_at: datetime


class TaskCreatedV1(Event, topic="tracker.tasks", name="TaskCreated", version=1):
    task_id: UUID
    user_guid: UUID
    title: str
    created_at: datetime


class TaskCreatedV2(Event, topic="tracker.tasks", name="TaskCreated", version=2):
    task_id: UUID
    user_guid: UUID
    title: str
    jira_id: str | None
    created_at: datetime


SAYS = (TaskCompleted, TaskCreatedV1, TaskCreatedV2)
