"""Requests for accounts, for administrators: who asks, and what is decided."""

from typing import Annotated
from uuid import UUID

from fastapi import Form, Request, Response

from auth_service.commands.applications import approve_application, decline_application
from auth_service.pages.sign_on import OwnSettings
from auth_service.queries.applications import (
    application as read_application,
)
from auth_service.queries.applications import (
    decided_applications,
    login_is_taken,
    waiting_applications,
)
from service_kit.database import ReadSession
from service_kit.errors import Invalid, ServiceError
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import redirect, render, render_form, toast
from service_kit.paging import Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000
PROSE_LENGTH_MAX = 5000
ROLE_CHOICES = [(role.value, role.label) for role in Role]

Admin = Annotated[CurrentUser, require(Role.ADMIN)]
Field = Annotated[str, Form(max_length=FIELD_LENGTH_MAX)]


@router.get("/applications")
async def applications(
    request: Request, session: Reading, admin: Admin, settings: OwnSettings, paging: Paging
) -> Response:
    del admin
    rows = await waiting_applications(session, limit=paging.limit, after=paging.after(UUID))
    return render(
        request,
        "auth/applications.html",
        {
            "page": paging.page(rows, lambda row: (row.id,)),
            "decided": await decided_applications(session),
            "open": settings.registration,
        },
    )


@router.get("/applications/{application_id}")
async def application(request: Request, session: Reading, admin: Admin, application_id: UUID) -> Response:
    del admin
    return await _page(request, session, application_id, {})


@router.post("/applications/{application_id}/approve")
async def approve(
    request: Request,
    admin: Admin,
    settings: OwnSettings,
    application_id: UUID,
    role: Annotated[Role, Form()],
    login: Field = "",
) -> Response:
    database = runtime_of(request).database
    try:
        async with database.transaction() as session:
            account = await approve_application(
                session,
                admin.guid,
                application_id,
                login=login,
                role=role,
                time_zone=settings.business_time_zone,
            )
    except ServiceError as error:
        entered = {"login": login, "role": role.value}
        async with database.reading() as reading:
            return await _page(request, reading, application_id, entered, error)
    return toast(
        redirect(request, f"/accounts/{account.id}"), _("The account is made; a letter is on its way.")
    )


@router.post("/applications/{application_id}/decline")
async def decline(
    request: Request,
    admin: Admin,
    application_id: UUID,
    reason: Annotated[str, Form(max_length=PROSE_LENGTH_MAX)] = "",
) -> Response:
    database = runtime_of(request).database
    try:
        async with database.transaction() as session:
            await decline_application(session, admin.guid, application_id, reason)
    except Invalid as error:
        async with database.reading() as reading:
            return await _page(request, reading, application_id, {"reason": reason}, error)
    return toast(redirect(request, "/applications"), _("The request is declined; a letter is on its way."))


async def _page(
    request: Request,
    session: ReadSession,
    application_id: UUID,
    entered: dict[str, str],
    error: ServiceError | None = None,
) -> Response:
    found = await read_application(session, application_id)
    empty = {"login": found.login, "role": Role.WORKER.value, "reason": ""}
    return render_form(
        request,
        "auth/application.html",
        {
            "application": found,
            "entered": empty | entered,
            "taken": found.decided_at is None and await login_is_taken(session, found.login),
            "role_choices": ROLE_CHOICES,
        },
        error,
    )
