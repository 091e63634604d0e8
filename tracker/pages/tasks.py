"""My tasks, one task, a new one."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Form, Query, Request
from starlette.responses import Response

from service_kit.errors import Invalid, ServiceError
from service_kit.identity import Actor, CurrentUser, Role, require
from service_kit.pages import redirect, render, toast, wants_fragment
from service_kit.paging import PageRequest, Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, SingleWriting, Writing
from tracker import commands, domain, queries
from tracker.domain import Status, TaskFilter
from tracker.models import Task
from tracker.pages.access import EMPLOYEES, INPUT_LENGTH_MAX, Dice, Field
from tracker.pages.markdown import description_html

HISTORY_SHOWN = PageRequest(limit=200)

router = ServiceRouter(include_in_schema=False, dependencies=[require(*EMPLOYEES)])


@router.get("/")
async def my_tasks(request: Request, session: Reading, actor: Actor, page: Paging) -> Response:
    # "Show more" picks its rows out of the lists, live updates compare them.
    block = "lists" if wants_fragment(request) else None
    return render(request, "tracker/my_tasks.html", await _my_tasks(session, actor, page), block)


@router.get("/done")
async def done(request: Request, session: Reading, actor: Actor, page: Paging) -> Response:
    context = {"tasks": await queries.done(session, actor.guid, page)}
    return render(request, "tracker/done.html", context, "done_rows" if wants_fragment(request) else None)


@router.get("/tasks/new")
async def new_task(request: Request, actor: Actor) -> Response:
    return render(request, "tracker/new_task.html", _form() | {"lies_in": _list_of(actor)})


@router.get("/tasks/hint")
async def new_task_hint(
    request: Request,
    session: Reading,
    title: Annotated[str, Query(max_length=INPUT_LENGTH_MAX)] = "",
    jira_id: Annotated[str, Query(max_length=INPUT_LENGTH_MAX)] = "",
) -> Response:
    """What will become of the line while it is typed."""
    return render(request, "tracker/new_task.html", await _hint(session, title, jira_id), "hint")


@router.get("/tasks")
async def list_behind_a_task(request: Request) -> Response:
    """For whoever shortens a task's address."""
    return redirect(request, "/all")


@router.post("/tasks")
async def create_task(
    request: Request,
    session: Writing,
    actor: Actor,
    dice: Dice,
    title: Field = "",
    jira_id: Field = "",
    description: Field = "",
    *,
    anyway: Annotated[bool, Form()] = False,
) -> Response:
    split = domain.split_pasted(title, jira_id)
    typed: dict[str, Any] = {"title": title, "jira_id": jira_id, "description": description}
    try:
        text = domain.task_text(split.title, split.jira_id, description)
        same = [] if anyway else await queries.open_with_key(session, text.jira_id)
        if same:
            form = _form(**typed, same=same) | {"lies_in": _list_of(actor)}
            return render(request, "tracker/new_task.html", form, status=domain.VersionConflict.status)
        (task,) = await commands.create_tasks(session, actor.guid, [text], random=dice)
    except (Invalid, domain.NobodyToAssign) as error:
        form = _form(**typed, error=error) | {"lies_in": _list_of(actor)}
        return render(request, "tracker/new_task.html", form, status=error.status)
    told = _("The task is created.")
    if split.title != title.strip():
        # A key is one word: its hyphen must not end a line.
        key = (split.jira_id or "").replace("-", "\N{NON-BREAKING HYPHEN}")
        told = _("The task is created. {jira_id} was taken out of the title.", jira_id=key)
    return toast(redirect(request, f"/tasks/{task.id}?new=1"), told)


@router.get("/tasks/{task_id}")
async def show_task(
    request: Request, session: Reading, actor: Actor, task_id: UUID, *, new: Annotated[bool, Query()] = False
) -> Response:
    context = await _task(session, actor, task_id)
    if new:
        context["drawn_from"] = await queries.eligible_count(session)
    return render(request, "tracker/task.html", context, "task" if wants_fragment(request) else None)


@router.get("/tasks/{task_id}/edit")
async def edit_task(request: Request, session: Reading, actor: Actor, task_id: UUID) -> Response:
    task = await queries.task(session, task_id)
    domain.refuse_editor(
        actor_id=actor.guid, role=actor.role, created_by=task.created_by, assignee_id=task.assignee_id
    )
    domain.refuse_done(task.status)
    form = _form(title=task.title, jira_id=task.jira_id or "", description=task.description)
    form |= {"task_id": task.id, "version": task.version, "lies_in": _place_of(task, actor)}
    return render(request, "tracker/edit_task.html", form)


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
        form["lies_in"] = _place_of(present, actor)
        return render(request, "tracker/edit_task.html", form, status=error.status)
    return toast(redirect(request, f"/tasks/{task.id}"), _("The task is saved."))


@router.post("/tasks/{task_id}/complete")
async def complete_task(
    request: Request,
    session: SingleWriting,
    actor: Actor,
    task_id: UUID,
    place: Annotated[Literal["mine", "task"], Form()] = "task",
) -> Response:
    task = await commands.complete_task(session, actor, task_id)
    told = _("Done. The reward is on its way to your money page.")
    if not wants_fragment(request):
        return toast(redirect(request, "/" if place == "mine" else f"/tasks/{task_id}"), told)
    if place == "mine":
        context = {"completed": task, **await _done_today(session, actor)}
        page = render(request, "tracker/my_tasks.html", context, "completed_row")
    else:
        context = await _task(session, actor, task_id)
        page = render(request, "tracker/task.html", context | {"after_completing": True}, "task")
    return toast(page, told)


async def _my_tasks(session: Reading, actor: CurrentUser, page: PageRequest) -> dict[str, Any]:
    mine = TaskFilter(status=Status.OPEN, assignee_id=actor.guid)
    return {
        "open": await queries.lines(session, page, mine),
        "completed": None,
        **await _done_today(session, actor),
    }


async def _done_today(session: Reading, actor: CurrentUser) -> dict[str, Any]:
    tasks = await queries.done_today(session, actor.guid)
    earned = sum(task.reward_cents or 0 for task in tasks)
    return {"done": tasks, "earned_cents": earned if any(task.reward_cents for task in tasks) else None}


async def _task(session: Reading, actor: CurrentUser, task_id: UUID) -> dict[str, Any]:
    task: Task = await queries.task(session, task_id)
    is_open = task.status == Status.OPEN
    return {
        "task": task,
        "description": description_html(task.description),
        "history": await queries.history(session, task_id, HISTORY_SHOWN),
        "drawn_from": None,
        "after_completing": False,
        "mine": task.assignee_id == actor.guid,
        "lies_in": _place_of(task, actor),
        # Others have nothing on their accounts that this task moved.
        "sees_money": task.assignee_id == actor.guid or actor.is_any(Role.ACCOUNTANT, Role.ADMIN),
        "may_complete": is_open and task.assignee_id == actor.guid,
        "may_edit": is_open
        and domain.may_edit(
            actor_id=actor.guid, role=actor.role, created_by=task.created_by, assignee_id=task.assignee_id
        ),
    }


def _list_of(actor: CurrentUser) -> str:
    """The list that somebody works with."""
    return "/all" if actor.is_any(Role.MANAGER, Role.ADMIN) else "/"


def _place_of(task: Task, actor: CurrentUser) -> str:
    """The list in which this person finds the task."""
    return "/" if task.assignee_id == actor.guid else "/all"


async def _hint(session: Reading, title: str, jira_id: str) -> dict[str, Any]:
    split = domain.split_pasted(title, jira_id)
    return {
        "split": split if split.title != title.strip() else None,
        "same": await queries.open_with_key(session, split.jira_id),
    }


def _form(
    *,
    title: str = "",
    jira_id: str = "",
    description: str = "",
    error: ServiceError | None = None,
    same: Sequence[Task] = (),
) -> dict[str, Any]:
    """What was typed, and what is wrong with it, by field."""
    errors = error.by_field if error else {}
    return {
        "title": title,
        "jira_id": jira_id,
        "description": description,
        "errors": errors,
        "problem": error if error and not errors else None,
        "present": None,
        "same": same,
        "split": None,
    }
