"""HTML page of the administrators: today live, income by day, the dearest tasks, the days as a file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Annotated, Any

from babel.dates import format_date
from fastapi import Depends, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from analytics import queries
from analytics.domain import Period, PeriodInvalid, asked_period, month_of, week_of
from service_kit.clock import Clock
from service_kit.identity import Role, require
from service_kit.money import format_cents
from service_kit.pages import redirect, render, wants_fragment
from service_kit.settings import ServiceSettings
from service_kit.text import Message, locale_in_use
from service_kit.text import message as _
from service_kit.web import ClockDep, Reading, ServiceRouter, SettingsDep

PERIOD_DAYS_DEFAULT = 14

router = ServiceRouter(include_in_schema=False, dependencies=[require(Role.ADMIN)])

AskedDay = Annotated[date | None, BeforeValidator(lambda text: text or None)]
"""A date out of a form, where nothing is an empty text."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The period on the page; when the one asked for cannot be shown, the usual one and the reason."""

    period: Period
    first: date | None
    last: date | None
    problem: str | None = None


def _asked(
    clock: ClockDep,
    settings: SettingsDep,
    first: Annotated[AskedDay, Query(alias="from")] = None,
    last: Annotated[AskedDay, Query(alias="to")] = None,
) -> _Asked:
    today = clock.today(settings.zone)
    try:
        period = asked_period(first, last, today=today, days=PERIOD_DAYS_DEFAULT)
    except PeriodInvalid as error:
        usual = asked_period(None, None, today=today, days=PERIOD_DAYS_DEFAULT)
        return _Asked(usual, first, last, error.detail)
    return _Asked(period, period.first, period.last)


Asked = Annotated[_Asked, Depends(_asked)]


@router.get("/")
async def dashboard(
    request: Request, session: Reading, clock: ClockDep, settings: SettingsDep, asked: Asked
) -> Response:
    today = clock.today(settings.zone)
    days = await queries.days(session, asked.period)
    top = await queries.top_tasks(session, asked.period)
    context = {
        **await _now(session, clock, settings),
        "asked": asked,
        "presets": _presets(today, asked.period),
        "days": days,
        "points": _points(days, asked.period, today),
        "top": top,
        "dates": _dates,
        "month_label": _month_label,
    }
    return render(request, "analytics/dashboard.html", context, status=422 if asked.problem else 200)


@router.get("/now")
async def now(request: Request, session: Reading, clock: ClockDep, settings: SettingsDep) -> Response:
    """The live part of the dashboard, which asks for itself again."""
    if not wants_fragment(request):
        return redirect(request, "/")
    context = await _now(session, clock, settings)
    return render(request, "analytics/dashboard.html", context, block="now")


@router.get("/days.csv")
async def days_file(session: Reading, asked: Asked) -> Response:
    """The days of the period as a table for other programs, the earliest first; amounts in cents."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(field.name for field in fields(queries.Day))
    for day in reversed(await queries.days(session, asked.period)):
        table.writerow(_cell(value) for value in asdict(day).values())
    name = f"days-{asked.period.first}-{asked.period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(written.getvalue(), media_type="text/csv", headers=headers)


async def _now(session: Reading, clock: Clock, settings: ServiceSettings) -> dict[str, Any]:
    return {
        "now": await queries.now(session, clock.today(settings.zone)),
        "fresh": await queries.freshness(session),
    }


def _presets(today: date, shown: Period) -> list[tuple[Message, Period, bool]]:
    """Periods one press away: label, period, whether it is the one shown."""
    last_month = month_of(month_of(today).first - timedelta(days=1))
    presets = (
        (_("Last 14 days"), Period(today - timedelta(days=PERIOD_DAYS_DEFAULT - 1), today)),
        (_("This week"), week_of(today)),
        (_("This month"), month_of(today)),
        (_("Last month"), last_month),
    )
    return [(label, period, period == shown) for label, period in presets]


def _points(days: Sequence[queries.Day], period: Period, today: date) -> list[dict[str, Any]]:
    """A bar for every day up to today, also for those on which nothing happened."""
    income = {day.business_date: day.income_cents for day in days}
    return [
        {
            "label": format_date(day, "d MMM", locale=locale_in_use()),
            "value": income.get(day, 0),
            "text": format_cents(income.get(day, 0)),
        }
        for day in period
        if day <= today or day in income
    ]


def _dates(period: Period) -> str:
    """The first day and the last, without saying twice what they share."""
    first, last = period.first, period.last
    day = "d MMM y" if first.year != last.year else "d MMM" if first.month != last.month else "d"
    until = str(format_date(last, "d MMM y", locale=locale_in_use()))
    if first == last:
        return until
    return f"{format_date(first, day, locale=locale_in_use())} \N{EN DASH} {until}"


def _month_label(period: Period) -> str:
    return str(format_date(period.first, "LLLL y", locale=locale_in_use())).capitalize()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)
