"""Schemas by their ids, which is how consumers ask."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from schema_registry import queries
from schema_registry.api.answers import Part, answer, flag, raw
from schema_registry.domain.errors import schema_not_found
from schema_registry.domain.registered import EVERY_CONTEXT, JSON_TYPE, VERSION_MAX
from schema_registry.models import Schema
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(tags=["schemas"])


@router.get("/schemas/types")
async def types(request: Request) -> Response:
    return answer(request, [JSON_TYPE])


@router.get("/schemas")
async def schemas(
    request: Request,
    session: Reading,
    part: Part,
    prefix: Annotated[str, Query(alias="subjectPrefix")] = EVERY_CONTEXT,
    latest: Annotated[str | None, Query(alias="latestOnly")] = None,
) -> Response:
    found = await queries.schemas(session, prefix, part, latest_only=flag(latest))
    return answer(request, [one.as_json() for one in found])


@router.get("/schemas/ids/{schema_id}")
async def schema(request: Request, session: Reading, schema_id: str) -> Response:
    return answer(request, _as_json(await queries.schema(session, _id(schema_id))))


@router.get("/schemas/ids/{schema_id}/schema")
async def schema_text(request: Request, session: Reading, schema_id: str) -> Response:
    return raw(request, (await queries.schema(session, _id(schema_id))).text)


@router.get("/schemas/ids/{schema_id}/subjects")
async def subjects_of_schema(request: Request, session: Reading, schema_id: str, part: Part) -> Response:
    found = await queries.uses_of(session, _id(schema_id), part)
    return answer(request, sorted({one.subject for one in found}))


@router.get("/schemas/ids/{schema_id}/versions")
async def versions_of_schema(
    request: Request, session: Reading, schema_id: str, part: Part, subject: str = ""
) -> Response:
    found = await queries.uses_of(session, _id(schema_id), part, subject)
    return answer(request, [{"subject": one.subject, "version": one.version} for one in found])


@router.get("/schemas/guids/{guid}")
async def schema_by_guid(request: Request, session: Reading, guid: str) -> Response:
    return answer(request, _as_json(await queries.schema_by_guid(session, guid)))


@router.get("/schemas/guids/{guid}/ids")
async def ids_of_guid(request: Request, session: Reading, guid: str) -> Response:
    found = await queries.schema_by_guid(session, guid)
    return answer(request, [{"context": ".", "id": found.id}])


def _id(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:11]) > VERSION_MAX:
        raise schema_not_found(text)
    return int(text)


def _as_json(found: Schema) -> dict[str, Any]:
    shown: dict[str, Any] = {"schemaType": JSON_TYPE}
    if found.references:
        shown["references"] = found.references
    if found.details is not None:
        shown["metadata"] = found.details
    if found.rule_set is not None:
        shown["ruleSet"] = found.rule_set
    return shown | {"schema": found.text, "guid": str(found.guid)}
