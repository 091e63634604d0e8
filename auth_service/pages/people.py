"""Names for the pages of other services: events and tables elsewhere know people by id only."""

from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import JSONResponse

from auth_service.domain.accounts import EMPLOYEES
from auth_service.pages.sign_on import OwnSettings
from auth_service.queries.accounts import names
from auth_service.settings import AuthSettings
from service_kit.errors import Malformed
from service_kit.identity import CurrentUser, require
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(include_in_schema=False)

IDS_MAX = 200
ID_LENGTH = 36

Employee = Annotated[CurrentUser, require(*EMPLOYEES)]


@router.get("/people")
async def people(
    request: Request,
    session: Reading,
    settings: OwnSettings,
    actor: Employee,
    ids: Annotated[str, Query(max_length=IDS_MAX * (ID_LENGTH + 1))] = "",
) -> JSONResponse:
    """Answer `{guid: name}` for `?ids=a,b,c` to employees who are signed in."""
    del actor
    try:
        guids = {UUID(text) for text in ids.split(",") if text}
    except ValueError as error:
        raise Malformed(_("These are not ids of people.")) from error
    response = JSONResponse(await names(session, guids))
    response.headers["Cache-Control"] = "private, max-age=60"
    response.headers["Vary"] = "Cookie, Origin"
    origin = request.headers.get("Origin")
    # In production each service may live on a host of its own; only those may read this.
    if origin is not None and origin in _own_origins(settings):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
    return response


def _own_origins(settings: AuthSettings) -> set[str]:
    return {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in settings.public_urls.values()}
