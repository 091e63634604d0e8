"""The own profile: name, language, time zone, password."""

from functools import cache
from typing import Annotated
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import Form, Request, Response

from auth_service.commands.accounts import AccountChanges, change_account, change_password
from auth_service.commands.guesses import admit_guess, clear_guesses
from auth_service.domain.accounts import WeakPassword, WrongPassword, check_new_password
from auth_service.pages.sign_on import OwnSettings, PasswordsDep, SignedIn, address_of
from auth_service.queries.accounts import account as read_account
from service_kit.database import ReadSession
from service_kit.errors import Invalid, ServiceError
from service_kit.pages import redirect, render_form, toast
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELD_LENGTH_MAX = 1000
Field = Annotated[str, Form(max_length=FIELD_LENGTH_MAX)]
"""An empty one is as good as none for the framework: what that means is said where it is checked."""
NOT_CHANGED = _("The present password is wrong, or there were too many tries. Wait a little and try again.")


@router.get("/profile")
async def profile(request: Request, session: Reading, person: SignedIn) -> Response:
    return await _page(request, session, person.guid)


@router.post("/profile")
async def save_profile(
    request: Request,
    person: SignedIn,
    name: Field = "",
    locale: Annotated[str, Form(max_length=10)] = "",
    time_zone: Annotated[str, Form(max_length=100)] = "",
    phone: Field = "",
    postal_address: Field = "",
) -> Response:
    changes = AccountChanges(
        name=name, locale=locale, time_zone=time_zone, phone=phone, postal_address=postal_address
    )
    database = runtime_of(request).database
    try:
        async with database.transaction() as session:
            await change_account(session, person.guid, person.guid, changes)
    except Invalid as error:
        async with database.reading() as reading:
            return await _page(request, reading, person.guid, entered=changes, error=error)
    return toast(redirect(request, "/profile"), _("Saved."))


@router.post("/profile/password")
async def save_password(
    request: Request,
    person: SignedIn,
    settings: OwnSettings,
    passwords: PasswordsDep,
    present: Field = "",
    new: Field = "",
) -> Response:
    """Guesses of the present password count like sign-ins: an open browser is not an open door."""
    database = runtime_of(request).database
    async with database.transaction() as session:
        admitted = await admit_guess(session, settings, person.login, address_of(request))
        stored = (await read_account(session, person.guid)).password_hash if admitted else None
    problem: ServiceError | None = None
    verdict = await passwords.check(stored, present)
    if verdict.right:
        try:
            check_new_password(new, person.login)
        except WeakPassword as error:
            problem = error
    else:
        problem = WrongPassword.of("present", NOT_CHANGED)
    if problem is not None:
        async with database.reading() as reading:
            return await _page(request, reading, person.guid, error=problem)
    password_hash = await passwords.make(new)
    async with database.transaction() as session:
        await clear_guesses(session, person.login)
        await change_password(
            session, person.guid, person.guid, password_hash, kept_session=person.session_id
        )
    return toast(
        redirect(request, "/profile"), _("Your password is changed. Everywhere else you are signed out.")
    )


async def _page(
    request: Request,
    session: ReadSession,
    account_id: UUID,
    *,
    entered: AccountChanges | None = None,
    error: ServiceError | None = None,
) -> Response:
    account = await read_account(session, account_id)
    shown = {
        "account": account,
        "entered": entered or account,
        "time_zones": [(zone, zone.replace("_", " ")) for zone in _zones()],
    }
    return render_form(request, "auth/profile.html", shown, error)


@cache
def _zones() -> list[str]:
    """Places only: the other names are spellings of old."""
    return ["UTC", *sorted(zone for zone in available_timezones() if "/" in zone and "Etc/" not in zone)]
