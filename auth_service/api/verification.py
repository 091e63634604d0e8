"""What a gateway asks before it lets a request through to something that knows nothing of our tokens."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Query, Request, Response

from auth_service.api.described import PROBLEMS
from auth_service.api.protocol import OwnSettings
from auth_service.commands.guesses import note_bad_credential
from auth_service.queries.guesses import caller_waits_s
from service_kit.errors import Unauthenticated
from service_kit.identity import CurrentUser, Role, visitor
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(tags=["protocol"])

ROLES_MAX = 10


@router.get(
    "/verify",
    response_class=Response,
    responses={
        200: {"description": "Somebody who may: X-User-Guid, X-User-Role, X-User-Name (percent-encoded)"},
        401: {"description": "Nobody is signed in, or the token does not hold"},
        403: {"description": "Somebody in none of the roles"},
        422: PROBLEMS[422],
        429: {"description": "Too many tokens that do not hold; Retry-After says how long to wait"},
    },
)
async def verify(
    request: Request,
    settings: OwnSettings,
    role: Annotated[list[Role] | None, Query(max_length=ROLES_MAX)] = None,
) -> Response:
    """Tell a gateway who calls, by bearer token or by the cookie of the sign-in (forward authentication).

    `?role=admin&role=manager` lets only these roles pass. A sign-out or a block counts from the same moment.
    """
    database = runtime_of(request).database
    address = request.client.host if request.client else "unknown"
    if not (request.headers.get("Authorization") or request.cookies):
        return _nobody()
    async with database.reading() as session:
        wait_s = await caller_waits_s(session, address)
    if wait_s:
        return Response(status_code=429, headers={"Retry-After": str(wait_s)})
    try:
        user = await visitor(request)
    except Unauthenticated:
        async with database.transaction() as writing:
            await note_bad_credential(writing, settings, address)
        return _nobody()
    if user is None:
        return _nobody()
    if role and user.role not in role:
        return Response(status_code=403)
    return Response(headers=_identity(user))


def _identity(user: CurrentUser) -> dict[str, str]:
    """Every header every time: one that is left out might be taken from the caller by a careless gateway."""
    return {
        "X-User-Guid": str(user.guid),
        "X-User-Role": user.role.value,
        # Headers carry ASCII only.
        "X-User-Name": quote(user.name or ""),
    }


def _nobody() -> Response:
    return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
