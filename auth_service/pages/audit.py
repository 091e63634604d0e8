"""The audit log, for administrators: who did what, when, from where."""

import csv
import io
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Query, Request, Response

from auth_service.domain.audit import ACTS
from auth_service.models import AuditEntry
from auth_service.queries.audit import audit_entries
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import render
from service_kit.paging import Paging
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(include_in_schema=False)

EXPORTED_MAX = 10_000
COLUMNS = ("at", "act", "actor", "account", "client", "address", "details")

Admin = Annotated[CurrentUser, require(Role.ADMIN)]
Act = Annotated[str, Query(max_length=50)]
Login = Annotated[str, Query(max_length=64)]


@router.get("/audit")
async def audit(
    request: Request, session: Reading, admin: Admin, paging: Paging, act: Act = "", login: Login = ""
) -> Response:
    del admin
    chosen = act if act in ACTS else None
    rows = await audit_entries(
        session, limit=paging.limit, after=paging.after(UUID), act=chosen, login=_plain(login)
    )
    return render(
        request,
        "auth/audit.html",
        {
            "page": paging.page(rows, lambda row: (row.id,)),
            "acts": ACTS,
            "act": chosen or "",
            "login": login,
            "act_choices": [("", _("All")), *ACTS.items()],
            "details_of": _details,
        },
    )


@router.get("/audit.csv")
async def export(session: Reading, admin: Admin, act: Act = "", login: Login = "") -> Response:
    """The same as a table for other programs: the latest ten thousand entries."""
    del admin
    rows = await audit_entries(
        session, limit=EXPORTED_MAX, act=act if act in ACTS else None, login=_plain(login)
    )
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(COLUMNS)
    for row in rows[:EXPORTED_MAX]:
        ids = (str(one) if one is not None else "" for one in (row.actor_id, row.account_id))
        table.writerow(
            [row.at.isoformat(), row.act, *ids, _cell(row.client_id), _cell(row.address), _details(row)]
        )
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return Response(written.getvalue(), media_type="text/csv", headers=headers)


def _plain(text: str) -> str:
    """PostgreSQL keeps no null bytes, so nothing is found by them."""
    return text.replace("\x00", "")


def _cell(text: str | None) -> str:
    """A cell that begins like a formula is one to a spreadsheet."""
    return f"'{text}" if text and text[0] in "=+-@" else text or ""


def _details(row: AuditEntry) -> str:
    return orjson.dumps(row.details).decode() if row.details else ""
