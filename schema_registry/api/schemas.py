"""Schemas by their ids, which is how consumers ask."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from schema_registry import queries
from schema_registry.api.answers import FindTags, Format, Part, ReferenceFormat, flag, kept, raw
from schema_registry.domain.contexts import EVERY, setting_name
from schema_registry.domain.errors import schema_not_found
from schema_registry.domain.registered import AVRO_TYPE, VERSION_MAX
from schema_registry.models import Schema
from schema_registry.models.lookups import TYPES
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(tags=["schemas"])

Subject = Annotated[str, Query(alias="subject", max_length=255)]
"""Tells the context of an id, by a subject or by the context's own name."""


@router.get("/schemas/types")
async def types(request: Request) -> Response:
    return kept(request, list(TYPES))


@router.get("/schemas")
async def schemas(
    request: Request,
    session: Reading,
    part: Part,
    prefix: Annotated[str, Query(alias="subjectPrefix")] = EVERY,
    latest: Annotated[str | None, Query(alias="latestOnly")] = None,
    aliases: Annotated[str | None, Query()] = None,
    rule_type: Annotated[str, Query(alias="ruleType", max_length=255)] = "",
) -> Response:
    found = await queries.schemas(
        session, prefix, part, latest_only=flag(latest), aliases=flag(aliases), rule_type=rule_type
    )
    return kept(request, [one.as_json() for one in found])


@router.get("/schemas/ids/{schema_id}")
async def schema(
    request: Request,
    session: Reading,
    schema_id: str,
    place: Subject = "",
    form: Format = "",
    tags: FindTags = None,
    highest: Annotated[str | None, Query(alias="fetchMaxId")] = None,
    _reference_form: ReferenceFormat = "",
) -> Response:
    row = await queries.schema(session, _id(schema_id), setting_name(place))
    found = _as_json(row, await queries.text_in_form(session, row, form))
    found |= await queries.schema_tags(session, row, tags or ())
    if flag(highest):
        found["maxId"] = await queries.highest_id(session, setting_name(place))
    return kept(request, found)


@router.get("/schemas/ids/{schema_id}/schema")
async def schema_text(
    request: Request, session: Reading, schema_id: str, place: Subject = "", form: Format = ""
) -> Response:
    row = await queries.schema(session, _id(schema_id), setting_name(place))
    return raw(request, await queries.text_in_form(session, row, form))


@router.get("/schemas/ids/{schema_id}/subjects")
async def subjects_of_schema(
    request: Request, session: Reading, schema_id: str, part: Part, place: Subject = ""
) -> Response:
    found = await queries.uses_of(session, _id(schema_id), part, setting_name(place))
    return kept(request, sorted({one.subject for one in found}))


@router.get("/schemas/ids/{schema_id}/versions")
async def versions_of_schema(
    request: Request, session: Reading, schema_id: str, part: Part, place: Subject = ""
) -> Response:
    found = await queries.uses_of(session, _id(schema_id), part, setting_name(place))
    return kept(request, [{"subject": one.subject, "version": one.version} for one in found])


@router.get("/schemas/guids/{guid}")
async def schema_by_guid(request: Request, session: Reading, guid: str, form: Format = "") -> Response:
    row = (await queries.schemas_by_guid(session, guid))[0]
    return kept(request, _as_json(row, await queries.text_in_form(session, row, form)))


@router.get("/schemas/guids/{guid}/ids")
async def ids_of_guid(request: Request, session: Reading, guid: str) -> Response:
    found = await queries.schemas_by_guid(session, guid)
    return kept(request, [{"context": one.context, "id": one.id} for one in found])


def _id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:11]) > VERSION_MAX:
        raise schema_not_found(text)
    return int(text)


def _as_json(found: Schema, text: str) -> dict[str, Any]:
    shown: dict[str, Any] = {} if found.schema_type == AVRO_TYPE else {"schemaType": found.schema_type}
    if found.references:
        shown["references"] = found.references
    if found.details is not None:
        shown["metadata"] = found.details
    if found.rule_set is not None:
        shown["ruleSet"] = found.rule_set
    return shown | {"schema": text, "guid": str(found.guid)}
