"""Taking over a file of tasks: the form, what is wrong with the file, how far it is."""

from typing import Annotated
from uuid import UUID

from fastapi import File, Request, UploadFile
from starlette.responses import Response

from service_kit.identity import Actor, require
from service_kit.pages import redirect, render, wants_fragment
from service_kit.web import Reading, ServiceRouter, Writing
from tracker import commands, domain, queries
from tracker.pages.access import RUNNERS

IMPORT_BYTES_MAX = 10 * 1024 * 1024

router = ServiceRouter(include_in_schema=False, dependencies=[require(*RUNNERS)])


@router.get("/imports")
async def new_import(request: Request) -> Response:
    return render(request, "tracker/import.html", {"faults": [], "problem": None, "limit": domain.ROWS_MAX})


@router.post("/imports")
async def request_import(
    request: Request, session: Writing, actor: Actor, file: Annotated[UploadFile | None, File()] = None
) -> Response:
    try:
        read = domain.read_tasks(await file.read() if file else b"")
    except domain.FileInvalid as error:
        context = {"faults": [], "problem": error, "limit": domain.ROWS_MAX}
        return render(request, "tracker/import.html", context, status=error.status)
    if read.faults:
        context = {"faults": read.faults, "problem": None, "limit": domain.ROWS_MAX}
        return render(request, "tracker/import.html", context, status=domain.FileInvalid.status)
    wanted = await commands.request_import(session, actor, read.texts)
    return redirect(request, f"/imports/{wanted.id}")


@router.get("/imports/{import_id}")
async def show_import(request: Request, session: Reading, import_id: UUID) -> Response:
    context = {"run": await queries.task_import(session, import_id)}
    block = "progress" if wants_fragment(request) else None
    return render(request, "tracker/import_progress.html", context, block)
