"""Signing keys, for administrators: which there are, which signs, let the next ones take over."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Request, Response

from auth_service.commands.keys import rotate_keys
from auth_service.models import SigningKey
from auth_service.pages.sign_on import KeysDep, OwnSettings, SignedIn, is_recent, sign_in_again
from auth_service.queries.keys import published_keys
from service_kit.identity import CurrentUser, Role, require
from service_kit.pages import redirect, render, toast
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(include_in_schema=False)

Admin = Annotated[CurrentUser, require(Role.ADMIN)]


@router.get("/keys")
async def keys(request: Request, session: Reading, admin: Admin, settings: OwnSettings) -> Response:
    del admin
    found = await published_keys(session)
    return render(
        request,
        "auth/keys.html",
        {"keys": found, "state_of": _state, "key_life_days": settings.key_life_days},
    )


@router.post("/keys/rotate")
async def rotate(
    request: Request,
    session: Writing,
    admin: Admin,
    person: SignedIn,
    settings: OwnSettings,
    ring: KeysDep,
) -> Response:
    if not is_recent(person):
        return sign_in_again(settings, person, "/keys")
    await rotate_keys(session, settings.secret_key.get_secret_value(), actor_id=admin.guid)
    ring.forget()
    return toast(
        redirect(request, "/keys"),
        _("The next keys take over as soon as everybody has had time to learn them."),
    )


def _state(key: SigningKey) -> tuple[str, str]:
    """In words, and how good that is."""
    now = datetime.now(UTC)
    if key.signs_from is None:
        return _("waits for its turn"), "plain"
    if key.signs_from > now:
        return _("takes over soon"), "wait"
    if key.signs_until is None or key.signs_until > now:
        return _("signs"), "good"
    return _("only checks what it signed"), "plain"
