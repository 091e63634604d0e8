"""All tasks: filters that stay in the address and under names, export, who has how much to do."""

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import xlsxwriter
from fastapi import Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from service_kit.asked_days import AskedDays
from service_kit.errors import Invalid
from service_kit.identity import Actor, CurrentUser, require
from service_kit.ids import id_in
from service_kit.pages import redirect, render, toast, wants_fragment
from service_kit.paging import Paging
from service_kit.text import gettext
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, SettingsDep, Writing
from tracker import commands, queries
from tracker.domain import FilterInvalid, Status, TaskFilter
from tracker.pages.access import EMPLOYEES, RUNNERS, Field

router = ServiceRouter(include_in_schema=False, dependencies=[require(*EMPLOYEES)])

EXPORT_ROWS_MAX = 100_000
EXPORT_IN_MEMORY_BYTES = 2 * 1024 * 1024
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
FILTER_NAMES = ("status", "worker", "search", "since", "until")
TEXT_CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


async def _filters(
    status: Annotated[str, Query(max_length=10)] = "",
    worker: Annotated[str, Query(max_length=36)] = "",
    search: Annotated[str, Query(max_length=200)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
) -> dict[str, str]:
    return {"status": status, "worker": worker, "search": search, "since": since, "until": until}


Filters = Annotated[dict[str, str], Depends(_filters)]


@router.get("/all")
async def all_tasks(
    request: Request, session: Reading, actor: Actor, page: Paging, filters: Filters, settings: SettingsDep
) -> Response:
    days = _days(filters, settings.zone)
    wanted = _wanted(filters, actor, days)
    context = {
        "tasks": await queries.lines(session, page, wanted),
        "filters": filters,
        "day_errors": days.errors,
        "filter_query": _query(filters),
        "may_distribute": actor.is_any(*RUNNERS),
    }
    if wants_fragment(request):
        return render(request, "tracker/all_tasks.html", context, "task_rows")
    context |= {
        "run": await queries.running_distribution(session) if context["may_distribute"] else None,
        "workers": tuple(await queries.workers(session, besides=wanted.assignee_id)),
        "saved": await queries.saved_filters(session, actor),
    }
    return render(request, "tracker/all_tasks.html", context)


@router.post("/filters")
async def save_filter(
    request: Request, session: Writing, actor: Actor, name: Field = "", query: Field = ""
) -> Response:
    known = _query(_only_known(query))
    try:
        await commands.save_filter(session, actor, name=name, query=known)
    except FilterInvalid as error:
        text = error.errors[0].message if error.errors else error.detail
        return toast(redirect(request, f"/all?{known}"), text, "error")
    return toast(redirect(request, f"/all?{known}"), _("The filter is saved."))


@router.post("/filters/{filter_id}/forget")
async def forget_filter(
    request: Request, session: Writing, actor: Actor, filter_id: UUID, query: Field = ""
) -> Response:
    await commands.forget_filter(session, actor, filter_id)
    return toast(redirect(request, f"/all?{_query(_only_known(query))}"), _("The filter is gone."))


@router.get("/load", dependencies=[require(*RUNNERS)])
async def load(request: Request, session: Reading) -> Response:
    shares = await queries.load(session)
    most = max((share.tasks for share in shares), default=0)
    return render(request, "tracker/load.html", {"shares": shares, "most": most})


@router.get("/export.csv", dependencies=[require(*RUNNERS)])
async def export_csv(session: Reading, actor: Actor, filters: Filters, settings: SettingsDep) -> Response:
    """Every row that the filters show, as comma separated values that a spreadsheet takes for text."""
    wanted = _to_download(filters, actor, settings.zone)
    file: IO[bytes] = SpooledTemporaryFile(EXPORT_IN_MEMORY_BYTES)  # noqa: SIM115  closed when it is sent
    # The mark in front tells spreadsheets that this is UTF-8.
    file.write("\ufeff".encode())
    file.write(_csv_line(_head()))
    async for chunk in _chunks(session, wanted):
        file.write(b"".join(_csv_line([_harmless(cell) for cell in _cells(task)]) for task in chunk))
    return _download(file, "tasks.csv", TEXT_CSV)


@router.get("/export.xlsx", dependencies=[require(*RUNNERS)])
async def export_xlsx(session: Reading, actor: Actor, filters: Filters, settings: SettingsDep) -> Response:
    """The same rows as a workbook."""
    wanted = _to_download(filters, actor, settings.zone)
    file: IO[bytes] = SpooledTemporaryFile(EXPORT_IN_MEMORY_BYTES)  # noqa: SIM115  closed when it is sent
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(file, options)
    sheet = book.add_worksheet(gettext("Tasks"))
    sheet.freeze_panes(1, 0)
    sheet.write_row(0, 0, _head(), book.add_format({"bold": True}))
    line = 0

    def write(chunk: Sequence[queries.TaskRow]) -> None:
        nonlocal line
        for task in chunk:
            line += 1
            sheet.write_row(line, 0, _cells(task))

    async for chunk in _chunks(session, wanted):
        await asyncio.to_thread(write, chunk)
    await asyncio.to_thread(book.close)
    return _download(file, "tasks.xlsx", XLSX)


async def _chunks(session: Reading, wanted: TaskFilter) -> Any:
    rows = 0
    async for chunk in queries.every_task(session, wanted):
        rows += len(chunk)
        if rows > EXPORT_ROWS_MAX:
            raise Invalid(
                _("At most {limit} tasks fit into one file; narrow the filter.", limit=EXPORT_ROWS_MAX)
            )
        yield chunk


def _head() -> list[str]:
    return [
        "id",
        *("jira_id", "title", "description", "status", "assignee_id", "created_by"),
        *("created_at", "assigned_at", "completed_at", "cycle", "fee_cents", "reward_cents"),
    ]


def _cells(task: queries.TaskRow) -> list[str | int]:
    moments = [task.created_at, task.assigned_at, task.completed_at]
    return [
        str(task.id),
        task.jira_id or "",
        task.title,
        task.description,
        task.status,
        str(task.assignee_id),
        str(task.created_by),
        *(moment.isoformat(timespec="seconds") if moment else "" for moment in moments),
        task.cycle,
        "" if task.fee_cents is None else task.fee_cents,
        "" if task.reward_cents is None else task.reward_cents,
    ]


def _harmless(cell: str | int) -> str | int:
    """A spreadsheet would run what looks like a formula; an apostrophe in front makes it text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_SIGNS) else cell


def _csv_line(cells: Sequence[str | int]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _download(file: IO[bytes], name: str, media_type: str) -> Response:
    file.seek(0)

    def parts() -> Iterator[bytes]:
        with file:
            while part := file.read(256 * 1024):
                yield part

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(parts(), media_type=media_type, headers=headers)


def _wanted(filters: dict[str, str], actor: CurrentUser, days: AskedDays) -> TaskFilter:
    status = filters["status"]
    return TaskFilter(
        status=Status(status) if status in set(Status) else None,
        assignee_id=_worker(filters["worker"], actor),
        search=filters["search"],
        created_from=days.begins,
        created_before=days.ends,
    )


def _days(filters: dict[str, str], zone: ZoneInfo) -> AskedDays:
    return AskedDays(filters["since"], filters["until"], zone)


def _to_download(filters: dict[str, str], actor: CurrentUser, zone: ZoneInfo) -> TaskFilter:
    days = _days(filters, zone)
    days.refuse_errors()
    return _wanted(filters, actor, days)


def _query(filters: dict[str, str]) -> str:
    return urlencode({name: filters[name] for name in FILTER_NAMES if filters.get(name)})


def _only_known(query: str) -> dict[str, str]:
    found = Request({"type": "http", "query_string": query.encode()}).query_params
    return {name: found.get(name, "")[:200] for name in FILTER_NAMES}


def _worker(worker: str, actor: CurrentUser) -> UUID | None:
    """Whose tasks an address asks for: mine, somebody's by id, or everybody's."""
    if worker == "me":
        return actor.guid
    return id_in(worker)
