"""HTML pages of billing: my money, and the accountant's today, days and accounts."""

from datetime import date
from typing import Annotated
from uuid import UUID

from babel.dates import format_date
from fastapi import Query, Request
from starlette.responses import Response

from billing import queries
from billing.domain import ENTRY_NAMES, AccountKind, DayState, NoAccount, business_date
from service_kit.identity import Actor, Role, require
from service_kit.money import format_cents
from service_kit.pages import render, wants_fragment
from service_kit.paging import PageRequest, Paging
from service_kit.text import locale_in_use
from service_kit.text import message as _
from service_kit.web import ClockDep, Reading, ServiceRouter, SettingsDep

router = ServiceRouter(include_in_schema=False)

ACCOUNTANTS = (Role.ACCOUNTANT, Role.ADMIN)
accountants_only = require(*ACCOUNTANTS)

DEBTORS_SHOWN = PageRequest(limit=10)
DAYS_IN_CHART = 31

STATE_LABELS = {
    DayState.OPEN: (_("Open"), "plain"),
    DayState.CLOSING: (_("Closing"), "wait"),
    DayState.CLOSED: (_("Closed and paid"), "good"),
}
ACCOUNT_LABELS = {AccountKind.COMPANY: _("Company"), AccountKind.PAYOUTS: _("Payouts")}
LABELS = {"kinds": ENTRY_NAMES, "states": STATE_LABELS, "account_labels": ACCOUNT_LABELS}


@router.get("/")
async def my_money(
    request: Request,
    session: Reading,
    actor: Actor,
    page: Paging,
    clock: ClockDep,
    settings: SettingsDep,
) -> Response:
    balance = await queries.balance_of(session, actor.guid, business_date(clock.now(), settings.zone))
    # Whoever has worked before keeps seeing what came of it.
    if actor.is_any(Role.CLIENT) and not balance.version:
        raise NoAccount(_("Clients have no account here: work is paid to those who do it."))
    context = {
        "balance": balance,
        "entries": await queries.entries_of(session, actor.guid, page),
        "keeps_books": actor.is_any(*ACCOUNTANTS),
        **LABELS,
    }
    return render(request, "billing/my_money.html", context, "money" if wants_fragment(request) else None)


@router.get("/today", dependencies=[accountants_only])
async def today(request: Request, session: Reading, clock: ClockDep, settings: SettingsDep) -> Response:
    context = {
        "figures": await queries.day_of(session, business_date(clock.now(), settings.zone)),
        "debtors": await queries.accounts_by_balance(
            session, DEBTORS_SHOWN, below_zero=True, kind=AccountKind.WORKER
        ),
        **LABELS,
    }
    return render(request, "billing/today.html", context, "figures" if wants_fragment(request) else None)


@router.get("/days", dependencies=[accountants_only])
async def days(request: Request, session: Reading, page: Paging) -> Response:
    found = await queries.days_backwards(session, page)
    points = [
        {
            "label": format_date(day.business_date, "d MMM", locale=locale_in_use()),
            "value": day.income_cents,
            "text": format_cents(day.income_cents),
        }
        for day in reversed(found.items[:DAYS_IN_CHART])
    ]
    context = {"days": found, "points": points, **LABELS}
    return render(request, "billing/days.html", context, "day_list" if wants_fragment(request) else None)


@router.get("/days/{day}", dependencies=[accountants_only])
async def one_day(request: Request, session: Reading, actor: Actor, day: date, page: Paging) -> Response:
    context = {
        "sees_analytics": actor.is_any(Role.ADMIN),
        "figures": await queries.day_of(session, day),
        "payouts": await queries.payouts_of(session, day, page),
        "late_entries": await queries.late_entries(session, day),
        **LABELS,
    }
    return render(request, "billing/day.html", context, "payout_list" if wants_fragment(request) else None)


@router.get("/tasks/{task_id}")
async def one_task(request: Request, session: Reading, actor: Actor, task_id: UUID) -> Response:
    """What moved for one task: on every account for those who keep the books, else on one's own."""
    keeps_books = actor.is_any(*ACCOUNTANTS)
    context = {
        "task_id": task_id,
        "entries": await queries.entries_of_task(session, task_id, None if keeps_books else actor.guid),
        "keeps_books": keeps_books,
        **LABELS,
    }
    return render(request, "billing/task.html", context)


@router.get("/accounts", dependencies=[accountants_only])
async def accounts(
    request: Request,
    session: Reading,
    page: Paging,
    *,
    below_zero: Annotated[bool, Query(description="Only accounts in debt")] = False,
) -> Response:
    found = await queries.accounts_by_balance(
        session, page, below_zero=below_zero, kind=AccountKind.WORKER if below_zero else None
    )
    context = {"accounts_found": found, "below_zero": below_zero, **LABELS}
    block = "account_list" if wants_fragment(request) else None
    return render(request, "billing/accounts.html", context, block)


@router.get("/accounts/{account_id}", dependencies=[accountants_only])
async def one_account(
    request: Request,
    session: Reading,
    account_id: UUID,
    page: Paging,
    day: Annotated[date | None, Query(description="Only entries of this business date")] = None,
) -> Response:
    context = {
        "account": await queries.account(session, account_id),
        "entries": await queries.entries_of(session, account_id, page, day=day),
        "only_day": day,
        **LABELS,
    }
    return render(
        request, "billing/account.html", context, "account_parts" if wants_fragment(request) else None
    )
