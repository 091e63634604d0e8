"""Who may change the registry: administrators, by a bearer token."""

from typing import Annotated

import structlog
from fastapi import Depends, Request

from service_kit.errors import Forbidden, Unauthenticated
from service_kit.identity import CurrentUser, Role, Visitor

log = structlog.get_logger()


def admin_only(user: CurrentUser | None) -> CurrentUser:
    if user is None:
        raise Unauthenticated("Changing the registry needs the access token of an administrator.")
    if user.role is not Role.ADMIN:
        raise Forbidden("Only administrators change the registry.")
    return user


async def admin(request: Request, user: Visitor) -> CurrentUser:
    """The administrator who changes something; each change is noted."""
    found = admin_only(user)
    note_change(request, found)
    return found


def note_change(request: Request, user: CurrentUser) -> None:
    log.info("registry_changed", method=request.method, path=request.url.path, account=str(user.guid))


Admin = Annotated[CurrentUser, Depends(admin)]
