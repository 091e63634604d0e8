"""JSON API of the tracker, `/api/v1`."""

from datetime import datetime
from random import Random
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from service_kit.identity import Actor, Role, require
from service_kit.paging import Page, Paging
from service_kit.serving.payloads import Payload
from service_kit.web import Reading, ServiceRouter, SettingsDep, Writing
from tracker import commands, queries
from tracker.domain import AssignReason, DistributionStatus, HistoryKind, Status, fair_dice

EMPLOYEES = (Role.WORKER, Role.MANAGER, Role.ACCOUNTANT, Role.ADMIN)
SEARCH_LENGTH_MAX = 200

router = ServiceRouter(prefix="/api/v1", tags=["tracker"], dependencies=[require(*EMPLOYEES)])

Dice = Annotated[Random, Depends(fair_dice)]


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TaskView(View):
    id: UUID
    title: str
    jira_id: str | None
    description: str
    status: Status
    assignee_id: UUID
    cycle: int = Field(description="How many times the task has been assigned")
    created_by: UUID
    created_at: datetime
    assigned_at: datetime
    completed_at: datetime | None
    version: int = Field(description="Edition of the text; an edit names the one it was made on")


class HistoryView(View):
    id: UUID
    kind: HistoryKind
    cycle: int
    actor_id: UUID
    assignee_id: UUID
    reason: AssignReason | None
    distribution_id: UUID | None
    occurred_at: datetime


class DistributionView(View):
    id: UUID
    status: DistributionStatus
    requested_by: UUID
    requested_at: datetime
    finished_at: datetime | None
    tasks_total: int = Field(description="Open tasks at the press")
    tasks_assigned: int


class NewTask(Payload):
    title: str = Field(examples=["Paint the perch"])
    jira_id: str | None = Field(default=None, examples=["POPUG-17"])
    description: str | None = None


@router.post("/tasks", status_code=201)
async def create_task(session: Writing, actor: Actor, new: NewTask, dice: Dice) -> TaskView:
    """Create a task; somebody gets it at random. 409 `nobody_to_assign`, 422 `title_has_brackets`."""
    task = await commands.create_task(session, actor, **new.model_dump(), random=dice)
    return TaskView.model_validate(task)


@router.get("/tasks")
async def list_tasks(
    session: Reading,
    actor: Actor,
    page: Paging,
    status: Status | None = None,
    assignee: Literal["me"] | UUID | None = None,
    search: Annotated[
        str | None,
        Query(max_length=SEARCH_LENGTH_MAX, description="Part of a title, or how a Jira id begins"),
    ] = None,
) -> Page[TaskView]:
    """List tasks, newest first."""
    found = await queries.tasks(
        session,
        page,
        status=status,
        assignee_id=actor.guid if assignee == "me" else assignee,
        search=search,
    )
    return found.of(TaskView.model_validate)


@router.get("/tasks/{task_id}")
async def get_task(session: Reading, task_id: UUID) -> TaskView:
    return TaskView.model_validate(await queries.task(session, task_id))


class TaskEdit(Payload):
    """What is absent stays as it is."""

    version: int = Field(ge=1, description="The edition this edit was made on")
    title: str = ""
    jira_id: str | None = None
    description: str | None = None


@router.patch("/tasks/{task_id}")
async def update_task(session: Writing, actor: Actor, task_id: UUID, edit: TaskEdit) -> TaskView:
    """Change what an open task says. 409 `version_conflict` when somebody else did meanwhile."""
    changes = edit.model_dump(exclude_unset=True, exclude={"version"})
    task = await commands.update_task(session, actor, task_id, version=edit.version, **changes)
    return TaskView.model_validate(task)


@router.get("/tasks/{task_id}/history")
async def task_history(session: Reading, task_id: UUID, page: Paging) -> Page[HistoryView]:
    """List what happened to the task, from its beginning."""
    found = await queries.history(session, task_id, page)
    return found.of(HistoryView.model_validate)


@router.post("/tasks/{task_id}/complete")
async def complete_task(session: Writing, actor: Actor, task_id: UUID) -> TaskView:
    """Mark the task as done. 403 `not_the_assignee`, 409 `task_already_done`."""
    return TaskView.model_validate(await commands.complete_task(session, actor, task_id))


@router.post("/distributions", status_code=202, dependencies=[require(Role.MANAGER, Role.ADMIN)])
async def request_distribution(
    session: Writing, actor: Actor, response: Response, settings: SettingsDep
) -> DistributionView:
    """Deal out all open tasks anew; while a distribution runs, a second press answers that one."""
    run = await commands.request_distribution(session, actor)
    response.headers["Location"] = f"{settings.public_path}/api/v1/distributions/{run.id}"
    return DistributionView.model_validate(run)


@router.get("/distributions", dependencies=[require(Role.MANAGER, Role.ADMIN)])
async def list_distributions(session: Reading, page: Paging) -> Page[DistributionView]:
    """List distributions, the latest first."""
    found = await queries.distributions(session, page)
    return found.of(DistributionView.model_validate)


@router.get("/distributions/{distribution_id}", dependencies=[require(Role.MANAGER, Role.ADMIN)])
async def get_distribution(session: Reading, distribution_id: UUID) -> DistributionView:
    return DistributionView.model_validate(await queries.distribution(session, distribution_id))
