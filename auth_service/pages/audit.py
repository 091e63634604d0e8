"""The audit log, for administrators: who did what, when, from where."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import Depends, Query, Request, Response

from auth_service.domain.audit import ACTS, DETAILS, VALUES
from auth_service.models import AuditEntry
from auth_service.queries.audit import audit_entries
from service_kit.asked_days import AskedDays
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import render
from service_kit.paging import Paging
from service_kit.text import message as _
from service_kit.text import shown
from service_kit.web import Reading, ServiceRouter, SettingsDep

router = ServiceRouter(include_in_schema=False)

EXPORTED_MAX = 10_000
COLUMNS = ("at", "act", "actor", "account", "client", "address", "details")

Admin = Annotated[CurrentUser, require(Role.ADMIN)]
Act = Annotated[str, Query(max_length=50)]
Login = Annotated[str, Query(max_length=64)]
Day = Annotated[str, Query(max_length=10)]


@dataclass(frozen=True)
class Asked:
    """What an administrator looks for; days are those of the business, both included."""

    act: str
    login: str
    days: AskedDays

    @property
    def filters(self) -> dict[str, Any]:
        return {
            "act": self.act or None,
            "login": self.login.replace("\x00", ""),
            "since": self.days.begins,
            "before": self.days.ends,
        }

    @property
    def query(self) -> str:
        days = {"since": self.days.since, "until": self.days.until}
        return urlencode({"act": self.act, "login": self.login, **days})


async def asked_for(
    settings: SettingsDep, act: Act = "", login: Login = "", since: Day = "", until: Day = ""
) -> Asked:
    return Asked(act if act in ACTS else "", login, AskedDays(since, until, settings.zone))


AskedFor = Annotated[Asked, Depends(asked_for)]


@router.get("/audit")
async def audit(
    request: Request, session: Reading, admin: Admin, paging: Paging, asked: AskedFor
) -> Response:
    del admin
    rows = await audit_entries(session, limit=paging.limit, after=paging.after(UUID), **asked.filters)
    return render(
        request,
        "auth/audit.html",
        {
            "page": paging.page(rows, lambda row: (row.id,)),
            "acts": ACTS,
            "asked": asked,
            "act_choices": [("", _("All")), *ACTS.items()],
            "in_words": _in_words,
        },
    )


@router.get("/audit.csv")
async def export(session: Reading, admin: Admin, asked: AskedFor) -> Response:
    """The same as a table for other programs: the latest ten thousand entries."""
    del admin
    asked.days.refuse_errors()
    rows = await audit_entries(session, limit=EXPORTED_MAX, **asked.filters)
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


def _cell(text: str | None) -> str:
    """A cell that begins like a formula is one to a spreadsheet."""
    return f"'{text}" if text and text[0] in "=+-@" else text or ""


def _details(row: AuditEntry) -> str:
    return orjson.dumps(row.details).decode() if row.details else ""


def _in_words(details: dict[str, Any]) -> str:
    """What else is known of an act, as a line to read."""
    # The database keeps no order of its own.
    known = [name for name in DETAILS if name in details]
    names = [*known, *(name for name in details if name not in DETAILS)]
    return "; ".join(f"{shown(DETAILS.get(name, name))}: {_value(name, details[name])}" for name in names)


def _value(name: str, told: Any) -> str:
    words = VALUES.get(name, {})
    each = told if isinstance(told, list) else [told]
    return ", ".join(str(shown(words.get(str(one), one))) for one in each)
