"""JSON API of the tracker, `/api/v1`."""

import re
import time
from datetime import datetime
from random import Random
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service_kit.errors import Invalid, ServiceError, TooMany
from service_kit.identity import Actor, Role, require
from service_kit.paging import Page, Paging
from service_kit.serving.payloads import Payload, answered
from service_kit.serving.transactions import SAFE_METHODS
from service_kit.text import message as _
from service_kit.text import shown
from service_kit.web import Reading, ServiceRouter, SettingsDep, SingleWriting, Writing
from tracker import commands, domain, queries
from tracker.domain import AssignReason, DistributionStatus, HistoryKind, Rates, Status, fair_dice
from tracker.models import Task
from tracker.settings import TrackerSettings

EMPLOYEES = (Role.WORKER, Role.MANAGER, Role.ACCOUNTANT, Role.ADMIN)
SEARCH_LENGTH_MAX = 200

BATCH_MAX = 500


async def _dice() -> Random:
    return fair_dice()


Dice = Annotated[Random, Depends(_dice)]


class PreconditionFailed(ServiceError):
    """The text was changed since the edition that If-Match names."""

    code = "precondition_failed"
    status = 412
    title = _("Somebody else changed this task meanwhile")


class EtagMissing(Invalid):
    code = "edition_missing"
    title = _("An edit names the edition it was made on")


async def _within_rate(request: Request, actor: Actor, settings: SettingsDep) -> None:
    """Hold one account to a number of changes per minute. Raises `TooMany` with the seconds to wait."""
    if request.method in SAFE_METHODS:
        return
    assert isinstance(settings, TrackerSettings)  # noqa: S101  narrows the type for mypy
    buckets = request.app.state.write_rates = getattr(request.app.state, "write_rates", None) or Rates(
        settings.api_writes_per_minute
    )
    wait_s = buckets.take(actor.guid, time.monotonic())
    if wait_s:
        raise TooMany(_("Too many changes in a short time; please wait."), retry_after_s=wait_s)


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TaskView(View):
    id: UUID = Field(examples=["0198c0de-7a11-7b2c-9d3e-4f5061728394"])
    title: str = Field(examples=["Paint the perch"])
    jira_id: str | None = Field(examples=["POPUG-17"])
    description: str = Field(description="Markdown", examples=["The **green** one"])
    status: Status
    assignee_id: UUID = Field(examples=["0198c0de-aaaa-7000-8000-00000000beef"])
    cycle: int = Field(description="How many times the task has been assigned", examples=[1])
    created_by: UUID = Field(examples=["0198c0de-bbbb-7000-8000-00000000cafe"])
    created_at: datetime = Field(examples=["2026-03-02T09:00:00Z"])
    assigned_at: datetime = Field(examples=["2026-03-02T09:00:00Z"])
    completed_at: datetime | None = Field(examples=[None])
    fee_cents: int | None = Field(
        description="Of each assignment, null until billing has said it", examples=[1400]
    )
    reward_cents: int | None = Field(
        description="For doing it; null until billing has said it", examples=[3100]
    )
    version: int = Field(description="Edition of the text; an edit names its own", examples=[1])


class CreatedView(TaskView):
    open_with_same_key: list[UUID] = Field(description="Open tasks with this Jira id", examples=[[]])


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


router = ServiceRouter(
    prefix="/api/v1", tags=["tracker"], dependencies=[require(*EMPLOYEES), Depends(_within_rate)]
)


class NewTask(Payload):
    title: str = Field(examples=["Paint the perch"])
    jira_id: str | None = Field(default=None, examples=["POPUG-17"])
    description: str | None = Field(default=None, examples=["The **green** one"])


class NewTasks(Payload):
    tasks: list[NewTask] = Field(min_length=1, max_length=BATCH_MAX)


class BatchProblem(View):
    code: str = Field(examples=["title_has_brackets"])
    errors: list[dict[str, str]] = Field(examples=[[{"field": "title", "message": "No square brackets"}]])


class BatchResult(View):
    """What became of one row: a task, or a problem."""

    row: int = Field(description="Place in the request, from 0", examples=[0])
    status: int = Field(description="201 or 422, as if it had come alone", examples=[201])
    task: TaskView | None = None
    problem: BatchProblem | None = None


class BatchView(View):
    created: int
    results: list[BatchResult]


@router.post("/tasks", status_code=201)
async def create_task(
    session: Writing, actor: Actor, new: NewTask, dice: Dice, response: Response, settings: SettingsDep
) -> CreatedView:
    """Create a task; somebody gets it at random. 409 `nobody_to_assign`, 422 `title_has_brackets`."""
    same = await queries.open_with_key(session, new.jira_id)
    task = await commands.create_task(session, actor, **new.model_dump(), random=dice)
    response.headers["Location"] = f"{settings.public_path}/api/v1/tasks/{task.id}"
    response.headers["ETag"] = _etag(task)
    return CreatedView(
        **TaskView.model_validate(task).model_dump(), open_with_same_key=[other.id for other in same]
    )


@router.post("/tasks/batch")
async def create_tasks(session: Writing, actor: Actor, new: NewTasks, dice: Dice) -> BatchView:
    """Create up to 500 tasks; each row has its own outcome, and a bad one keeps no good one back."""
    results: list[BatchResult] = []
    good: list[tuple[int, domain.TaskText]] = []
    for row, wanted in enumerate(new.tasks):
        try:
            good.append((row, domain.task_text(**wanted.model_dump())))
        except Invalid as error:
            errors = [{"field": found.field, "message": str(shown(found.message))} for found in error.errors]
            problem = BatchProblem(code=error.code, errors=errors)
            results.append(BatchResult(row=row, status=error.status, problem=problem))
    tasks = await commands.create_tasks(session, actor.guid, [text for _row, text in good], random=dice)
    for (row, _text), task in zip(good, tasks, strict=True):
        results.append(BatchResult(row=row, status=201, task=TaskView.model_validate(task)))
    return BatchView(created=len(tasks), results=sorted(results, key=lambda result: result.row))


@router.get("/tasks", response_model=Page[TaskView])
async def list_tasks(
    session: Reading,
    actor: Actor,
    page: Paging,
    status: Status | None = None,
    assignee: Literal["me"] | UUID | None = None,
    search: Annotated[
        str | None,
        Query(
            max_length=SEARCH_LENGTH_MAX,
            description="Words of title or description in any form, or how a Jira id begins",
            examples=["paint perch"],
        ),
    ] = None,
    created_from: AwareDatetime | None = None,
    created_before: AwareDatetime | None = None,
) -> Response:
    """List tasks, newest first."""
    wanted = domain.TaskFilter(
        status=status,
        assignee_id=actor.guid if assignee == "me" else assignee,
        search=search,
        created_from=created_from,
        created_before=created_before,
    )
    found = await queries.tasks(session, page, wanted)
    return answered(Page[TaskView].model_validate(found, from_attributes=True))


@router.get("/tasks/{task_id}")
async def get_task(session: Reading, task_id: UUID, response: Response) -> TaskView:
    """Read a task; its ETag goes into If-Match of an edit."""
    task = await queries.task(session, task_id)
    response.headers["ETag"] = _etag(task)
    return TaskView.model_validate(task)


class TaskEdit(Payload):
    """What is absent stays as it is."""

    version: int | None = Field(
        default=None, ge=1, description="The edition this edit was made on; If-Match says the same"
    )
    title: str = ""
    jira_id: str | None = None
    description: str | None = None


@router.patch("/tasks/{task_id}")
async def update_task(
    session: Writing,
    actor: Actor,
    task_id: UUID,
    edit: TaskEdit,
    response: Response,
    if_match: Annotated[str | None, Header(max_length=100, examples=['"1"'])] = None,
) -> TaskView:
    """Change what an open task says, unless somebody else did since the edition the edit was made on.

    The edition is told by If-Match (412 `precondition_failed` when it is not the present one) or by `version`
    (409 `version_conflict`).
    """
    version = edit.version
    if if_match is not None:
        version = await _edition(session, task_id, if_match)
    if version is None:
        raise EtagMissing.of("version", _("Send If-Match with the task's ETag, or its version."))
    changes = edit.model_dump(exclude_unset=True, exclude={"version"})
    try:
        task = await commands.update_task(session, actor, task_id, version=version, **changes)
    except domain.VersionConflict as error:
        if if_match is None:
            raise
        raise PreconditionFailed(error.detail) from error
    response.headers["ETag"] = _etag(task)
    return TaskView.model_validate(task)


async def _edition(session: Writing, task_id: UUID, if_match: str) -> int:
    """The edition an If-Match accepts. Raises `PreconditionFailed` when it is not the present one."""
    task = await queries.task(session, task_id)
    if if_match.strip() != "*" and task.version not in [int(tag[1]) for tag in _TAG.finditer(if_match)]:
        raise PreconditionFailed(_("Look at the present text and make your change again."))
    return task.version


_TAG = re.compile(r'"(\d{1,9})(?:-[a-z]+)?"')
"""A gateway that compresses an answer names the coding in its tag, `"3-gzip"`, or makes it weak, `W/"3"`; the
edition is the same."""


def _etag(task: Task) -> str:
    """Of the text: assigning a task anew spoils nobody's edit."""
    return f'"{task.version}"'


@router.get("/tasks/{task_id}/history")
async def task_history(session: Reading, task_id: UUID, page: Paging) -> Page[HistoryView]:
    """List what happened to the task, from its beginning."""
    found = await queries.history(session, task_id, page)
    return found.of(HistoryView.model_validate)


@router.post("/tasks/{task_id}/complete")
async def complete_task(session: SingleWriting, actor: Actor, task_id: UUID) -> TaskView:
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
