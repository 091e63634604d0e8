"""Every failure in one shape (RFC 9457): problem+json for programs, a page for people, a toast for htmx."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match

from service_kit import errors
from service_kit.errors import FieldError, ServiceError
from service_kit.identity.people import visitor
from service_kit.pages import redirect, render, toast
from service_kit.serving.runtime import is_api, own_path, public_path, runtime_of
from service_kit.text import message as _
from service_kit.text import shown

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
SEE_OTHER = 303
BEARER_ERRORS = frozenset({"invalid_token", "insufficient_scope", "invalid_request"})
"""Codes that a refused token is told in its challenge as well (RFC 6750, 3.1)."""

_BY_STATUS: dict[int, type[ServiceError]] = {
    kind.status: kind
    for kind in (
        errors.Malformed,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.NotAllowed,
        errors.Conflict,
        errors.TooLarge,
        errors.Invalid,
        errors.TooMany,
        errors.Unavailable,
    )
}


def handle_failures(app: FastAPI) -> None:
    """Take over every way in which a route can end badly."""
    app.add_exception_handler(ServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_service_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ServiceError):
        raise error
    return await respond(request, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    found: Sequence[dict[str, Any]] = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return await respond(request, errors.Malformed(_("The body is not valid JSON.")))
    if _opens_pages(request) and any(item["loc"][0] == "path" for item in found):
        # People mistype addresses; there is no field of theirs to mark.
        return await respond(request, errors.NotFound(_DETAILS[404]))
    checked = errors.Invalid(_("Please check the marked fields."), errors=field_errors(found))
    return await respond(request, checked)


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        return _problem_response(
            error.status_code, "http_error", HTTPStatus(error.status_code).phrase, str(error.detail), ()
        )
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        if request.method == "GET" and _opens_pages(request) and (above := _page_above(request)):
            return redirect(request, above)
        # The framework names the methods of the first route with this path; there may be others.
        headers = {**(headers or {}), "Allow": ", ".join(_methods(request))}
    return await respond(request, kind(_DETAILS.get(error.status_code, "")), headers=headers)


def _methods(request: Request) -> list[str]:
    """What can be done at the address of this request."""
    return [
        method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if _takes(request, {"method": method})
    ]


def _page_above(request: Request) -> str | None:
    """The nearest page on the way up from an address that takes forms alone, before the start page.

    A form that was refused stands at such an address: another language, or a reload by hand, asks for it.
    """
    own = own_path(request)
    prefix = request.scope["path"].removesuffix(own)
    while (own := own.rpartition("/")[0]) and not _takes(request, {"path": prefix + own}):
        pass
    return own or None


def _takes(request: Request, changed: Mapping[str, str]) -> bool:
    """Whether there is a route for the request with something else in it."""
    routes: Sequence[BaseRoute] = request.app.router.routes
    scope = {**request.scope, **changed}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


async def respond(
    request: Request, error: ServiceError, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer a failure in the shape that the caller reads."""
    response = await _shaped(request, error)
    if headers and "allow" in (lowered := {name.lower(): value for name, value in headers.items()}):
        response.headers["Allow"] = lowered["allow"]
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is None and isinstance(error, errors.Unavailable):
        retry_after_s = 5
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _shaped(request: Request, error: ServiceError) -> Response:
    title = str(shown(error.title))
    detail = str(shown(error.detail))
    if "HX-Request" in request.headers:
        if isinstance(error, errors.Unauthenticated) and error.status == HTTPStatus.UNAUTHORIZED:
            return redirect(request, _sign_in_address(request, _page_of(request)))
        response = _problem_of(error, title, detail)
        response.headers["HX-Reswap"] = "none"
        return toast(response, _in_one_line(error, title, detail), "error")
    if _opens_pages(request):
        if isinstance(error, errors.Unauthenticated) and error.status == HTTPStatus.UNAUTHORIZED:
            return RedirectResponse(_sign_in_address(request, _page_of(request)), SEE_OTHER)
        if not isinstance(error, errors.Unavailable):
            # Who is there is not asked of a database that does not answer.
            await _greet(request)
        return render(
            request,
            "error.html",
            {
                "status": error.status,
                "title": title,
                "detail": detail,
                "errors": error.further,
                "code": error.code,
            },
            status=error.status,
        )
    return _problem_of(error, title, detail)


def _opens_pages(request: Request) -> bool:
    return "text/html" in request.headers.get("Accept", "") and not is_api(request)


async def _greet(request: Request) -> None:
    """Find out who is there, so that the page keeps its navigation; it has to be shown without as well."""
    try:
        await visitor(request)
    except Exception:  # noqa: BLE001  what failed before must not hide behind a second failure
        log.info("visitor_unknown_on_error_page")


def _problem_of(error: ServiceError, title: str, detail: str) -> Response:
    response = _problem_response(error.status, error.code, title, detail, error.errors)
    if error.code in BEARER_ERRORS:
        response.headers["WWW-Authenticate"] = f'Bearer error="{error.code}"'
    elif error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _problem_response(
    status: int, code: str, title: str, detail: str, found: Sequence[FieldError]
) -> Response:
    body = {
        "type": f"urn:ates:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [{"field": item.field, "message": str(shown(item.message))} for item in found],
    }
    return Response(orjson.dumps(body), status, media_type=PROBLEM)


def _in_one_line(error: ServiceError, title: str, detail: str) -> str:
    further = (f"{item.field}: {shown(item.message)}" for item in error.further)
    return " ".join([detail or title, *further])


def _sign_in_address(request: Request, next_path: str) -> str:
    runtime = runtime_of(request)
    query = urlencode({"next": next_path})
    return f"{runtime.settings.public_url}{runtime.sign_in_path}?{query}"


def _page_of(request: Request) -> str:
    """The page somebody was on: of a form that was sent it is not the form's own address."""
    runtime = runtime_of(request)
    if request.method == "GET" and "HX-Request" not in request.headers:
        return public_path(request)
    came_from = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    own = runtime.settings.public_url
    if came_from == own or came_from.startswith(own + "/"):
        return runtime.settings.public_path + came_from.removeprefix(own)
    return runtime.settings.public_path + "/"


_DETAILS = {
    400: _("The body of the request cannot be read."),
    404: _("This address does not exist. It may have moved, or it may have been mistyped."),
    405: _("This address does not take that kind of request."),
    413: _("A request may have at most one megabyte."),
}

_FIELD_TEXTS: dict[str, str] = {
    "missing": _("This is needed."),
    "extra_forbidden": _("There is no such field."),
    "string_too_long": _("At most {max_length} characters."),
    "string_too_short": _("At least {min_length} characters."),
    "string_type": _("This must be text."),
    "string_pattern_mismatch": _("This has not the right form."),
    "int_parsing": _("This must be a whole number."),
    "int_type": _("This must be a whole number."),
    "bool_parsing": _("This must be true or false."),
    "bool_type": _("This must be true or false."),
    "uuid_parsing": _("This is not an id."),
    "uuid_type": _("This is not an id."),
    "enum": _("Only these are possible: {expected}."),
    "literal_error": _("Only these are possible: {expected}."),
    "date_parsing": _("This is not a date."),
    "date_from_datetime_parsing": _("This is not a date."),
    "datetime_parsing": _("This is not a date with a time."),
    "datetime_from_date_parsing": _("This is not a date with a time."),
    "greater_than_equal": _("At least {ge}."),
    "less_than_equal": _("At most {le}."),
    "model_attributes_type": _("This must be an object."),
    "model_type": _("This must be an object."),
    "dict_type": _("This must be an object."),
    "list_type": _("This must be a list."),
    "json_invalid": _("This is not valid JSON."),
}


def field_errors(found: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """What Pydantic found, as fields and sentences in the reader's language."""
    return [FieldError(_field_name(item["loc"]), _field_text(item)) for item in found]


def _field_name(location: Sequence[str | int]) -> str:
    # The first part says where the field lies (body, query, path); the name alone is what people know.
    named = location[1:] if len(location) > 1 else location
    return ".".join(str(part) for part in named)


def _field_text(item: Mapping[str, Any]) -> str:
    text = _FIELD_TEXTS.get(item["type"])
    if text is not None:
        return _(str(text), **dict(item.get("ctx") or {}))
    if item["type"] in {"value_error", "assertion_error"}:
        # A validator of ours raised it, with a sentence for people.
        return str(shown((item.get("ctx") or {}).get("error", item["msg"])))
    return str(item["msg"])
