"""Who acts in a request, and what a role may do."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer

from service_kit.errors import Forbidden, Unauthenticated
from service_kit.roles import CurrentUser, Role
from service_kit.serving.runtime import is_api, runtime_of
from service_kit.text import message as _
from service_kit.text import use_locale

ANTI_FORGERY_HEADER = "X-Requested-With"


class WrongRole(Forbidden):
    code = "wrong_role"


class AntiForgeryHeaderMissing(Forbidden):
    """A script on our own page must show itself by a header that no foreign form can send."""

    code = "anti_forgery_header_missing"


class _Described(HTTPBearer):
    """Tells the description of the API how programs show who they are; `visitor` is who looks."""

    # It reads nothing, so that it asks for nothing either.
    async def __call__(self) -> None:  # type: ignore[override]
        return None


_bearer = _Described(
    scheme_name="HTTPBearer", description="Access token of the exchange, valid for five minutes"
)


async def visitor(request: Request) -> CurrentUser | None:
    """Find out who is there, if anybody; a token that does not hold is refused, not ignored."""
    if "user" in request.state:
        known: CurrentUser | None = request.state.user
        return known
    runtime = runtime_of(request)
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user: CurrentUser | None = await runtime.verifier.current_user(token.strip())
    else:
        user = await runtime.authenticate(request)
        if user is not None and is_api(request) and ANTI_FORGERY_HEADER not in request.headers:
            raise AntiForgeryHeaderMissing(_("Calls with a cookie need the header X-Requested-With."))
        # What somebody chose in this browser stands above what the account prefers.
        if user is not None and user.locale and not request.state.locale_chosen:
            use_locale(user.locale)
    request.state.user = user
    return user


async def current_user(request: Request) -> CurrentUser:
    """Find out who is there. Raises `Unauthenticated` when nobody is: pages then lead to the sign-in."""
    user = await visitor(request)
    if user is None:
        raise Unauthenticated(_("Sign in to go on."))
    return user


async def _documented_user(request: Request, _scheme: Annotated[object, Depends(_bearer)]) -> CurrentUser:
    return await current_user(request)


Actor = Annotated[CurrentUser, Depends(_documented_user)]
"""The signed-in person who acts."""

Visitor = Annotated[CurrentUser | None, Depends(visitor)]
"""Whoever is there, signed in or not."""


def require(*roles: Role) -> Dependency:
    """Let only these roles pass: `dependencies=[require(Role.ADMIN)]`, or inside `Annotated`."""
    allowed = frozenset(roles)

    async def check(actor: Actor) -> CurrentUser:
        if actor.role not in allowed:
            raise WrongRole(_("Your role does not allow this."))
        return actor

    dependency: Dependency = Depends(check)
    return dependency


Authenticate = Callable[[Request], Awaitable[CurrentUser | None]]
