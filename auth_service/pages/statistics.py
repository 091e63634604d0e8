"""How people sign in, for administrators."""

from typing import Annotated

from babel.dates import format_date
from fastapi import Request, Response

from auth_service.domain.audit import REASONS
from auth_service.pages.sign_on import OwnSettings
from auth_service.queries.statistics import failures_by_reason, present_state, sign_ins_by_day
from service_kit.identity import CurrentUser, Role, require
from service_kit.money import format_number
from service_kit.pages import render
from service_kit.text import locale_in_use
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(include_in_schema=False)

Admin = Annotated[CurrentUser, require(Role.ADMIN)]


@router.get("/sign-ins")
async def sign_ins(request: Request, session: Reading, admin: Admin, settings: OwnSettings) -> Response:
    del admin
    days = await sign_ins_by_day(session, settings.zone)
    labels = [format_date(one.day, "d MMM", locale=locale_in_use()) for one in days]
    return render(
        request,
        "auth/sign_ins.html",
        {
            "good": _points(labels, [one.good for one in days]),
            "failed": _points(labels, [one.failed for one in days]),
            "reasons": [(REASONS.get(name, name), n) for name, n in await failures_by_reason(session)],
            "present": await present_state(session, settings.session_idle_s),
        },
    )


def _points(labels: list[str], numbers: list[int]) -> list[dict[str, object]]:
    return [
        {"label": label, "value": number, "text": format_number(number)}
        for label, number in zip(labels, numbers, strict=True)
    ]
