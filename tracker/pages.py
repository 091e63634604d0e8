"""HTML pages of the tracker: my tasks, one task, all tasks, distributions."""

from random import Random
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Form, Query, Request
from starlette.responses import Response

from service_kit.errors import Invalid, ServiceError
from service_kit.identity import Actor, CurrentUser, Role, require
from service_kit.pages import redirect, render, toast, wants_fragment
from service_kit.paging import PageRequest, Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing
from tracker import commands, domain, queries
from tracker.domain import Status, fair_dice
from tracker.models import Task

EMPLOYEES = (Role.WORKER, Role.MANAGER, Role.ACCOUNTANT, Role.ADMIN)
RUNNERS = (Role.MANAGER, Role.ADMIN)
INPUT_LENGTH_MAX = 20_000
"""Of one form field; the domain has the real limits and names the field that breaks them."""

HISTORY_SHOWN = PageRequest(limit=200)

router = ServiceRouter(include_in_schema=False, dependencies=[require(*EMPLOYEES)])

Dice = Annotated[Random, Depends(fair_dice)]
Field = Annotated[str, Form(max_length=INPUT_LENGTH_MAX)]


@router.get("/")
async def my_tasks(request: Request, session: Reading, actor: Actor, page: Paging) -> Response:
    # "Show more" picks its rows out of the lists.
    block = "lists" if wants_fragment(request) else None
    return render(request, "tracker/my_tasks.html", await _my_tasks(session, actor, page), block)


@router.get("/all")
async def all_tasks(
    request: Request,
    session: Reading,
    actor: Actor,
    page: Paging,
    status: Annotated[str, Query(max_length=10)] = "",
    worker: Annotated[str, Query(max_length=36)] = "",
    search: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    filters = {"status": status, "worker": worker, "search": search}
    assignee_id = _worker(worker, actor)
    found = await queries.tasks(
        session,
        page,
        status=Status(status) if status in set(Status) else None,
        assignee_id=assignee_id,
        search=search,
    )
    may_distribute = actor.is_any(*RUNNERS)
    context = {
        "tasks": found,
        "filters": filters,
        "may_distribute": may_distribute,
        "run": await queries.running_distribution(session) if may_distribute else None,
        "open_count": await queries.open_tasks_count(session) if may_distribute else 0,
        "workers": await queries.workers(session, besides=assignee_id),
    }
    block = "task_rows" if wants_fragment(request) else None
    return render(request, "tracker/all_tasks.html", context, block)


@router.get("/tasks/new")
async def new_task(request: Request) -> Response:
    return render(request, "tracker/new_task.html", _form())


@router.post("/tasks")
async def create_task(
    request: Request,
    session: Writing,
    actor: Actor,
    dice: Dice,
    title: Field = "",
    jira_id: Field = "",
    description: Field = "",
) -> Response:
    split = domain.split_pasted(title, jira_id)
    try:
        task = await commands.create_task(
            session,
            actor,
            title=split.title,
            jira_id=split.jira_id,
            description=description,
            random=dice,
        )
    except (Invalid, domain.NobodyToAssign) as error:
        form = _form(title=title, jira_id=jira_id, description=description, error=error)
        return render(request, "tracker/new_task.html", form, status=error.status)
    told = _("The task is created.")
    if split.title != title.strip():
        told = _("The task is created. {jira_id} was taken out of the title.", jira_id=split.jira_id)
    return toast(redirect(request, f"/tasks/{task.id}?new=1"), told)


@router.get("/tasks/{task_id}")
async def show_task(
    request: Request, session: Reading, actor: Actor, task_id: UUID, *, new: Annotated[bool, Query()] = False
) -> Response:
    context = await _task(session, actor, task_id)
    return render(request, "tracker/task.html", context | {"new": new})


@router.get("/tasks/{task_id}/edit")
async def edit_task(request: Request, session: Reading, actor: Actor, task_id: UUID) -> Response:
    task = await queries.task(session, task_id)
    domain.refuse_editor(
        actor_id=actor.guid, role=actor.role, created_by=task.created_by, assignee_id=task.assignee_id
    )
    domain.refuse_done(task.status)
    form = _form(title=task.title, jira_id=task.jira_id or "", description=task.description)
    return render(request, "tracker/edit_task.html", form | {"task_id": task.id, "version": task.version})


@router.post("/tasks/{task_id}")
async def update_task(
    request: Request,
    session: Writing,
    actor: Actor,
    task_id: UUID,
    version: Annotated[int, Form()],
    title: Field = "",
    jira_id: Field = "",
    description: Field = "",
) -> Response:
    split = domain.split_pasted(title, jira_id)
    changes = commands.TextChange(title=split.title, jira_id=split.jira_id, description=description)
    try:
        task = await commands.update_task(session, actor, task_id, version=version, **changes)
    except (domain.VersionConflict, Invalid) as error:
        present = await queries.task(session, task_id)
        form = _form(title=title, jira_id=jira_id, description=description, error=error)
        # What somebody else wrote is shown beside what was typed here; saving again is then a choice.
        form |= {"task_id": task_id, "version": present.version, "present": present}
        return render(request, "tracker/edit_task.html", form, status=error.status)
    return toast(redirect(request, f"/tasks/{task.id}"), _("The task is saved."))


@router.post("/tasks/{task_id}/complete")
async def complete_task(
    request: Request,
    session: Writing,
    actor: Actor,
    task_id: UUID,
    place: Annotated[Literal["mine", "task"], Form()] = "task",
) -> Response:
    task = await commands.complete_task(session, actor, task_id)
    told = _("Done. The reward is on its way to your money page.")
    if not wants_fragment(request):
        return toast(redirect(request, "/" if place == "mine" else f"/tasks/{task_id}"), told)
    if place == "mine":
        context = {"completed": task, "done": await queries.done_today(session, actor.guid)}
        page = render(request, "tracker/my_tasks.html", context, "completed_row")
    else:
        context = await _task(session, actor, task_id)
        page = render(request, "tracker/task.html", context | {"after_completing": True}, "task")
    return toast(page, told)


@router.post("/distributions", dependencies=[require(*RUNNERS)])
async def request_distribution(request: Request, session: Writing, actor: Actor) -> Response:
    run = await commands.request_distribution(session, actor)
    if wants_fragment(request):
        return render(request, "tracker/distribution.html", {"run": run}, "progress")
    return redirect(request, f"/distributions/{run.id}")


@router.get("/distributions", dependencies=[require(*RUNNERS)])
async def distributions(request: Request, session: Reading, page: Paging) -> Response:
    context = {"runs": await queries.distributions(session, page)}
    return render(request, "tracker/distributions.html", context, "runs" if wants_fragment(request) else None)


@router.get("/distributions/{distribution_id}", dependencies=[require(*RUNNERS)])
async def show_distribution(request: Request, session: Reading, distribution_id: UUID) -> Response:
    run = await queries.distribution(session, distribution_id)
    block = "progress" if wants_fragment(request) else None
    return render(request, "tracker/distribution.html", {"run": run}, block)


async def _my_tasks(session: Reading, actor: CurrentUser, page: PageRequest) -> dict[str, object]:
    return {
        "open": await queries.tasks(session, page, status=Status.OPEN, assignee_id=actor.guid),
        "done": await queries.done_today(session, actor.guid),
        "completed": None,
    }


async def _task(session: Reading, actor: CurrentUser, task_id: UUID) -> dict[str, object]:
    task: Task = await queries.task(session, task_id)
    is_open = task.status == Status.OPEN
    return {
        "task": task,
        "history": await queries.history(session, task_id, HISTORY_SHOWN),
        "new": False,
        "after_completing": False,
        "may_complete": is_open and task.assignee_id == actor.guid,
        "may_edit": is_open
        and domain.may_edit(
            actor_id=actor.guid, role=actor.role, created_by=task.created_by, assignee_id=task.assignee_id
        ),
    }


def _form(
    *, title: str = "", jira_id: str = "", description: str = "", error: ServiceError | None = None
) -> dict[str, object]:
    """What was typed, and what is wrong with it, by field."""
    errors = {found.field: found.message for found in error.errors} if error else {}
    return {
        "title": title,
        "jira_id": jira_id,
        "description": description,
        "errors": errors,
        "problem": error if error and not errors else None,
        "present": None,
    }


def _worker(worker: str, actor: CurrentUser) -> UUID | None:
    """Whose tasks an address asks for: mine, somebody's by id, or everybody's."""
    if worker == "me":
        return actor.guid
    try:
        return UUID(worker)
    except ValueError:
        return None
