"""How refusals look, for the description of the API: what every address may answer beside success."""

from typing import Any

_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "code"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
}
_OAUTH_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}

Responses = dict[int | str, dict[str, Any]]


def _refusals(meanings: dict[int, str], kind: str, schema: dict[str, Any]) -> Responses:
    return {
        status: {"description": meaning, "content": {kind: {"schema": schema}}}
        for status, meaning in meanings.items()
    }


PROBLEMS = _refusals(
    {
        400: "The request cannot be read",
        401: "Nobody is signed in, or the token does not hold",
        403: "Not for this role",
        404: "There is no such thing",
        409: "It does not fit to what is there",
        413: "Larger than a megabyte",
        422: "A field is wrong",
        429: "Too many tries; Retry-After says how long to wait",
    },
    "application/problem+json",
    _PROBLEM,
)
"""RFC 9457."""

OAUTH_ERRORS = _refusals(
    {400: "Refused; `error` says why", 401: "The client has not proven itself"},
    "application/json",
    _OAUTH_ERROR,
) | {status: PROBLEMS[status] for status in (413, 429)}
"""RFC 6749, 5.2."""
