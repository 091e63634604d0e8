"""Subjects and their versions: listing, looking up, registering, deleting."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field

from schema_registry import commands, queries
from schema_registry.api.answers import (
    CandidatePayload,
    FindTags,
    Format,
    Part,
    ReferenceFormat,
    Sent,
    SubjectName,
    VersionName,
    answer,
    described,
    flag,
    kept,
    raw,
    read_body,
)
from schema_registry.api.blocks import MetadataBlock, RuleSetBlock, TagsOfParts, tagged_parts
from schema_registry.api.names import SUBJECT
from schema_registry.api.rights import Writer, note_change, writer_only
from schema_registry.domain.contexts import EVERY
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.registered import VERSION_MAX, Registered, version_number
from schema_registry.domain.tags import Retagging
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(tags=["subjects"])

Flag = Annotated[str | None, Query()]
VERSION = "/subjects/" + SUBJECT + "/versions/{version}"


async def version_in_form(
    session: Reading,
    subject: SubjectName,
    version: VersionName,
    deleted: Flag = None,
    form: Format = "",
) -> Registered:
    """The version that an address names, with its text in the form that is asked for."""
    found = await queries.version(session, subject, version_number(version), deleted=flag(deleted))
    return await queries.in_form(session, found, form)


Named = Annotated[Registered, Depends(version_in_form)]


@router.get("/subjects")
async def subjects(
    request: Request,
    session: Reading,
    part: Part,
    prefix: Annotated[str, Query(alias="subjectPrefix")] = EVERY,
) -> Response:
    return kept(request, await queries.subjects(session, prefix, part))


@router.get(VERSION + "/schema")
async def version_text(request: Request, named: Named) -> Response:
    return raw(request, named.text)


@router.get(VERSION + "/referencedby")
async def referenced_by(
    request: Request, session: Reading, subject: SubjectName, version: VersionName
) -> Response:
    return kept(request, await queries.referenced_by(session, subject, version_number(version)))


@router.get(VERSION)
async def version(
    request: Request,
    session: Reading,
    named: Named,
    tags: FindTags = None,
    _reference_form: ReferenceFormat = "",
) -> Response:
    return kept(request, named.as_json() | await queries.schema_tags(session, named, tags or ()))


class TagPayload(BaseModel):
    """What the next version has that this one has not."""

    tags_to_add: TagsOfParts | None = Field(default=None, alias="tagsToAdd")
    tags_to_remove: TagsOfParts | None = Field(default=None, alias="tagsToRemove")
    version: int | None = Field(default=None, alias="newVersion", ge=1, le=VERSION_MAX)
    metadata: MetadataBlock | None = None
    rule_set: RuleSetBlock | None = Field(default=None, alias="ruleSet")
    rules_to_merge: RuleSetBlock | None = Field(default=None, alias="rulesToMerge")
    rules_to_remove: list[str] | None = Field(default=None, alias="rulesToRemove", max_length=1000)


@router.post(VERSION + "/tags", openapi_extra=described(TagPayload))
async def tag(
    request: Request, session: Writing, _writer: Writer, subject: SubjectName, version: VersionName
) -> Response:
    """Register a version that is like this one but for the tags inside of its schema, metadata and rules."""
    sent = await read_body(request, TagPayload)
    if sent.rule_set is not None and (sent.rules_to_merge is not None or sent.rules_to_remove):
        raise RegistryError(
            Code.INVALID_RULE_SET, "ruleSet should be omitted if specifying rulesToMerge or rulesToRemove"
        )
    change = commands.TagChange(
        tags=Retagging(tagged_parts(sent.tags_to_add), tagged_parts(sent.tags_to_remove)),
        version=sent.version,
        metadata=sent.metadata,
        rule_set=sent.rule_set,
        rules_to_merge=sent.rules_to_merge,
        rules_to_remove=tuple(sent.rules_to_remove or ()),
    )
    found = await commands.tag(session, subject, version_number(version), change)
    return answer(request, _registered(found))


@router.delete(VERSION)
async def delete_version(
    request: Request,
    session: Writing,
    _writer: Writer,
    subject: SubjectName,
    version: VersionName,
    permanent: Flag = None,
) -> Response:
    number = version_number(version)
    return answer(request, await commands.delete_version(session, subject, number, permanent=flag(permanent)))


@router.get("/subjects/" + SUBJECT + "/versions")
async def versions(
    request: Request,
    session: Reading,
    subject: SubjectName,
    part: Part,
    negative: Annotated[str | None, Query(alias="deletedAsNegative")] = None,
) -> Response:
    found = await queries.versions(session, subject, part, deleted_as_negative=flag(negative))
    return kept(request, found)


@router.post("/subjects/" + SUBJECT + "/versions", openapi_extra=described(CandidatePayload))
async def register(
    request: Request,
    session: Writing,
    subject: SubjectName,
    sent: Sent,
    normalize: Flag = None,
    form: Format = "",
) -> Response:
    """Register a schema.

    What is registered already changes nothing and is answered to everybody: serialisers send their schema
    this way only to learn its id.
    """
    sent = sent.within(subject)
    known = await queries.registered_already(session, subject, sent, normalize=flag(normalize))
    if known is not None and sent.id in {None, -1, known.id}:
        return kept(request, _registered(await queries.in_form(session, known, form)))
    writer = await writer_only(request)
    found = await commands.register(session, subject, sent, normalize=flag(normalize))
    await note_change(request, session, writer, {"version": found.version, "id": found.id})
    return answer(request, _registered(await queries.in_form(session, found, form)))


@router.get("/subjects/" + SUBJECT + "/metadata")
async def latest_with_metadata(
    request: Request,
    session: Reading,
    subject: SubjectName,
    key: Annotated[list[str] | None, Query()] = None,
    value: Annotated[list[str] | None, Query()] = None,
    deleted: Flag = None,
    form: Format = "",
) -> Response:
    wanted = dict(zip(key or [], value or [], strict=False))
    found = await queries.latest_with_metadata(session, subject, wanted, deleted=flag(deleted))
    return kept(request, (await queries.in_form(session, found, form)).as_json())


@router.post("/subjects/" + SUBJECT, openapi_extra=described(CandidatePayload))
async def lookup(
    request: Request,
    session: Reading,
    subject: SubjectName,
    sent: Sent,
    normalize: Flag = None,
    deleted: Flag = None,
    form: Format = "",
) -> Response:
    found = await queries.lookup(
        session, subject, sent.within(subject), normalize=flag(normalize), deleted=flag(deleted)
    )
    return kept(request, (await queries.in_form(session, found, form)).as_json())


@router.delete("/subjects/" + SUBJECT)
async def delete_subject(
    request: Request, session: Writing, _writer: Writer, subject: SubjectName, permanent: Flag = None
) -> Response:
    return answer(request, await commands.delete_subject(session, subject, permanent=flag(permanent)))


def _registered(found: Registered) -> dict[str, Any]:
    """What a registration answers: no more fields than older clients can read."""
    return {key: value for key, value in found.as_json().items() if key not in {"subject", "ts", "deleted"}}
