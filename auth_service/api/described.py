"""For the description of the API: forms of the protocol's endpoints, and how refusals look."""

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


DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TEXT = {"type": "string", "minLength": 1, "pattern": "^[ -~]+$"}
"""Printable ASCII (RFC 6749, appendix A)."""

_PROOFS = {
    "client_id": _TEXT,
    "client_secret": _TEXT,
    "client_assertion_type": {"const": ASSERTION},
    "client_assertion": _TEXT,
}
"""A client that shows id and secret in a header sends none of these."""


def _fields(required: list[str], **fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required,
        "properties": _PROOFS | fields,
        # What nobody knows is ignored (RFC 6749, 3.2); nothing may be there twice.
        "additionalProperties": {"type": "string", "pattern": "^[^\\u0000]*$"},
        # One way to prove oneself in a request, not two (RFC 6749, 2.3).
        "not": {"required": ["client_secret", "client_assertion"]},
    }


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _grant(name: str, *required: str, **fields: dict[str, Any]) -> dict[str, Any]:
    return _fields(["grant_type", *required], grant_type={"const": name}, **fields)


TOKEN_FORM = _form(
    {
        "oneOf": [
            _grant("authorization_code", "code", code=_TEXT, redirect_uri=_TEXT, code_verifier=_TEXT),
            _grant("refresh_token", "refresh_token", refresh_token=_TEXT, scope=_TEXT, resource=_TEXT),
            _grant("client_credentials", scope=_TEXT, resource=_TEXT),
            _grant(DEVICE_CODE, "device_code", device_code=_TEXT),
        ]
    }
)
DEVICE_FORM = _form(_fields(["client_id"], scope=_TEXT, resource=_TEXT))
ABOUT_A_TOKEN_FORM = _form(_fields(["token"], token=_TEXT, token_type_hint=_TEXT))
