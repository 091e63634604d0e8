"""How the protocol speaks: media types, bodies in and out, errors of exactly two fields."""

import json
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schema_registry import queries
from schema_registry.api.blocks import MetadataBlock, RuleSetBlock, TagsOfParts, tagged_parts
from schema_registry.domain.contexts import setting_name, subject_name
from schema_registry.domain.documents import Reference
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.registered import VERSION_MAX, Candidate
from schema_registry.domain.tags import Retagging
from schema_registry.queries import Listing
from service_kit.errors import Malformed
from service_kit.web import Reading

MEDIA_TYPES = (
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
)
P = TypeVar("P", bound=BaseModel)
NOT_ACCEPTABLE = 406
UNSUPPORTED_MEDIA_TYPE = 415
SENT_TYPES = frozenset({*MEDIA_TYPES, "application/octet-stream"})
KEEP = "answer_may_be_kept"
"""Set in a request's state: the answer is the same until something in the registry changes."""

CHANGED = "registry_was_changed"
"""Set in a request's state: this very request changed something."""

PROBLEM = b"application/problem+json"


def answer(request: Request, body: object, status: int = 200) -> Response:
    """JSON in the media type the client asked for."""
    try:
        text: str | bytes = orjson.dumps(body)
    except TypeError:
        # Numbers beyond 64 bits, brought along from another registry.
        text = json.dumps(body)
    return Response(text, status, media_type=media_type(request))


def kept(request: Request, body: object) -> Response:
    """The same for an answer that stays true until something in the registry changes."""
    setattr(request.state, KEEP, True)
    return answer(request, body)


def raw(request: Request, text: str) -> Response:
    """A schema as it is, not wrapped in a string."""
    setattr(request.state, KEEP, True)
    return Response(text, media_type=media_type(request))


def media_type(request: Request) -> str:
    """The first of ours that `Accept` allows. Raises 406 where it allows none."""
    ranges = [part.split(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")]
    if "text/html" in ranges:
        # A person looks at it in a browser, which shows this type and would save the others to a file.
        return MEDIA_TYPES[-1]
    for wanted in ranges:
        if wanted in {"", "*/*", "application/*"}:
            return MEDIA_TYPES[0]
        if wanted in MEDIA_TYPES:
            return wanted
    raise HTTPException(NOT_ACCEPTABLE)


async def on_registry_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RegistryError):
        raise error
    return refusal(error.code, error.message, error.status)


def refusal(code: int, message: str, status: int) -> Response:
    body = {"error_code": int(code), "message": message}
    return Response(orjson.dumps(body), status, media_type=MEDIA_TYPES[0])


class ConfluentErrors:
    """Outermost layer: whatever the kit refuses, on any path, leaves in the two fields of the protocol."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def translated(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                if start["status"] == HTTPStatus.METHOD_NOT_ALLOWED:
                    start = {**start, "headers": _allowing(start["headers"], scope)}
                await _send_translated(start, body, send)

        await self._app(scope, receive, translated)


def _is_problem(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(PROBLEM) for name, value in message["headers"]
    )


def _allowing(headers: list[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    """All methods of the path; the framework names only those of the first route that has it."""
    routes: list[BaseRoute] = scope["app"].routes
    methods = [
        method
        for method in ("DELETE", "GET", "POST", "PUT")
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    others = [(name, value) for name, value in headers if name.lower() != b"allow"]
    return [*others, (b"allow", ", ".join(methods).encode())]


_OWN_WORDS = {
    status: f"HTTP {status} {HTTPStatus(status).phrase}"
    for status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_ACCEPTABLE)
} | {UNSUPPORTED_MEDIA_TYPE: "HTTP 415 Unsupported Media Type"}
"""What clients of the protocol are used to where no rule of the registry is broken."""


async def _send_translated(start: Message, body: bytes, send: Send) -> None:
    status = start["status"]
    problem = orjson.loads(body) if body else {}
    message = _OWN_WORDS.get(status) or problem.get("detail") or problem.get("title") or f"HTTP {status}"
    shaped = orjson.dumps({"error_code": status, "message": message}) if body else b""
    replaced = {b"content-type", b"content-length"}
    headers = [(name, value) for name, value in start["headers"] if name.lower() not in replaced]
    headers += [(b"content-type", MEDIA_TYPES[0].encode()), (b"content-length", str(len(shaped)).encode())]
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": shaped})


class ReferencePayload(BaseModel):
    name: str = Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*$")
    subject: str = Field(min_length=1, max_length=255)
    version: int = Field(ge=-1, le=VERSION_MAX)


class CandidatePayload(BaseModel):
    """A schema sent by a client; fields we do not know are the business of newer clients."""

    model_config = ConfigDict(extra="ignore")

    schema_text: str = Field(alias="schema")
    schema_type: str | None = Field(default=None, alias="schemaType")
    references: list[ReferencePayload] | None = Field(default=None, max_length=100)
    metadata: MetadataBlock | None = None
    rule_set: RuleSetBlock | None = Field(default=None, alias="ruleSet")
    id: int | None = Field(default=None, ge=-1, le=VERSION_MAX)
    version: int | None = Field(default=None, ge=-1, le=VERSION_MAX)
    tags_to_add: TagsOfParts | None = Field(default=None, alias="schemaTagsToAdd")
    tags_to_remove: TagsOfParts | None = Field(default=None, alias="schemaTagsToRemove")
    propagate_tags: bool | None = Field(default=None, alias="propagateSchemaTags")

    def retagging(self) -> Retagging:
        return Retagging(
            tagged_parts(self.tags_to_add), tagged_parts(self.tags_to_remove), self.propagate_tags or False
        )


@cache
def described(kind: type[BaseModel]) -> dict[str, Any]:
    """What a route says of its body in its description, since it reads the body itself."""
    schema = kind.model_json_schema()
    parts = schema.pop("$defs", {})
    content = {media: {"schema": _whole(schema, parts)} for media in MEDIA_TYPES}
    return {"requestBody": {"required": True, "content": content}}


def _whole(value: Any, parts: Mapping[str, Any]) -> Any:
    """With the parts written out: a description of many routes has no place for the parts of one of them."""
    if isinstance(value, list):
        return [_whole(one, parts) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _whole(parts[value["$ref"].removeprefix("#/$defs/")], parts)
    return {name: _whole(one, parts) for name, one in value.items()}


class RegistryAnswer(JSONResponse):
    """For descriptions: answers have the first of our media types unless another is asked for."""

    media_type = MEDIA_TYPES[0]


class Refusal(BaseModel):
    """Every refusal, on every path."""

    error_code: int
    message: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        # Written out: as a model it would be built anew for each status of each route, a tenth of the start.
        "content": {MEDIA_TYPES[0]: {"schema": Refusal.model_json_schema()}},
    }
    for status in (400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 503)
}


async def candidate(request: Request) -> Candidate:
    """The schema in the body, whatever media type it was sent as."""
    found = await read_body(request, CandidatePayload)
    return Candidate(
        text=found.schema_text,
        schema_type=found.schema_type or "AVRO",
        references=tuple(
            Reference(one.name, subject_name(one.subject), one.version) for one in found.references or ()
        ),
        metadata=found.metadata,
        rule_set=found.rule_set,
        id=found.id,
        version=found.version,
        retagging=found.retagging(),
    )


async def read_body(request: Request, kind: type[P]) -> P:
    """Parse the body. What is missing is refused as 42201, what is of the wrong kind as 400."""
    sent_as = request.headers.get("content-type", MEDIA_TYPES[0]).split(";")[0].strip().lower()
    if sent_as not in SENT_TYPES:
        raise HTTPException(UNSUPPORTED_MEDIA_TYPE)
    body = await request.body()
    if not body.strip():
        raise RegistryError(Code.INVALID_SCHEMA, "The request body is missing")
    try:
        return kind.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise Malformed("Malformed JSON in the request body") from None
    except ValidationError as error:
        first: Mapping[str, Any] = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        if first["type"] == "missing":
            raise RegistryError(Code.INVALID_SCHEMA, f"{place} is missing") from None
        raise Malformed(f"{place}: {first['msg']}") from None


async def subject(session: Reading, subject: str) -> str:
    """The subject of the path, or the one it is another name of."""
    return await queries.meant(session, subject_name(subject))


def place(subject: str) -> str:
    """The subject or the context of the path; another name has settings of its own."""
    return setting_name(subject)


def flag(value: str | None) -> bool:
    """Clients write `True`, `true` or nothing."""
    return value is not None and value.lower() == "true"


def listing(
    deleted: Annotated[str | None, Query()] = None,
    deleted_only: Annotated[str | None, Query(alias="deletedOnly")] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=-1)] = -1,
) -> Listing:
    return Listing(flag(deleted), flag(deleted_only), offset, limit if limit >= 0 else None)


def form(wanted: Annotated[str, Query(alias="format", max_length=50)] = "") -> str:
    """The form asked for. Raises `RegistryError` for LOGICAL, which would be another text altogether."""
    if wanted.lower() == "logical":
        raise RegistryError(
            Code.INVALID_SCHEMA,
            "Schemas have no form as logical types here: those describe tables of Flink and Iceberg",
        )
    return wanted


FindTags = Annotated[list[str] | None, Query(alias="findTags", max_length=100)]
"""Tags inside of the schema to be told of; `*` for any."""

ReferenceFormat = Annotated[str, Query(alias="referenceFormat", max_length=50)]
"""How references are wanted: they always stand with the whole names of their subjects."""

SubjectName = Annotated[str, Depends(subject)]
VersionName = Annotated[
    str,
    # For the description: what is no version is refused with a code of the protocol.
    Path(json_schema_extra={"pattern": "^(latest|-1|[1-9][0-9]{0,8})$", "examples": ["latest"]}),
]
Place = Annotated[str, Depends(place)]
Sent = Annotated[Candidate, Depends(candidate)]
Part = Annotated[Listing, Depends(listing)]
Format = Annotated[str, Depends(form)]
"""How the text of a schema is wanted; types answer as usual where they do not have that form."""
