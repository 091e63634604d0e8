"""Reads that commands and queries share: versions, references, settings."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select

from schema_registry.domain.documents import (
    Document,
    Reference,
    guid,
    known_document,
    one_form,
    parsed,
    read_document,
)
from schema_registry.domain.errors import Code, RegistryError, subject_not_found, version_not_found
from schema_registry.domain.levels import Earlier, Level, Mode
from schema_registry.domain.registered import Candidate, Registered, refuse_other_types
from schema_registry.models.tables import Schema, Setting, SubjectVersion
from service_kit.database import ReadSession

REFERENCE_DEPTH_MAX = 20
EVERYTHING = ""
"""Name under which the settings for all subjects are kept."""


def registered_rows() -> Select[SubjectVersion, Schema]:
    return select(SubjectVersion, Schema).join(Schema, Schema.id == SubjectVersion.schema_id)


def registered_of(version: SubjectVersion, schema: Schema) -> Registered:
    return Registered(
        subject=version.subject,
        version=version.version,
        id=schema.id,
        guid=schema.guid,
        text=schema.text,
        references=tuple(Reference(**reference) for reference in schema.references),
        metadata=schema.details,
        rule_set=schema.rule_set,
        deleted=version.deleted,
        created_at=version.created_at,
    )


async def all_of(session: ReadSession, statement: Select[SubjectVersion, Schema]) -> list[Registered]:
    return [registered_of(version, schema) for version, schema in await session.execute(statement)]


async def versions_of(session: ReadSession, subject: str, *, deleted: bool = False) -> list[Registered]:
    """Versions in their order; with `deleted` also those deleted softly."""
    statement = registered_rows().where(SubjectVersion.subject == subject).order_by(SubjectVersion.version)
    if not deleted:
        statement = statement.where(~SubjectVersion.deleted)
    return await all_of(session, statement)


async def find_version(
    session: ReadSession, subject: str, number: int | None, *, deleted: bool = False
) -> Registered:
    """One version, the latest for None. Raises `RegistryError` when subject or version is not there."""
    found = await versions_of(session, subject, deleted=deleted)
    if not found:
        raise subject_not_found(subject)
    if number is None:
        return found[-1]
    for one in found:
        if one.version == number:
            return one
    raise version_not_found(number)


async def texts_of(session: ReadSession, references: Sequence[Reference], depth: int = 0) -> dict[str, str]:
    """The text of every schema that is referenced, over all levels, by the name it is referenced by."""
    if depth > REFERENCE_DEPTH_MAX:
        raise RegistryError(Code.INVALID_SCHEMA, "Invalid schema: the references are nested too deeply")
    texts: dict[str, str] = {}
    for reference in references:
        try:
            found = await find_version(session, reference.subject, reference.version)
        except RegistryError:
            raise RegistryError(
                Code.INVALID_SCHEMA,
                f'Invalid schema: no schema reference found for subject "{reference.subject}" '
                f"and version {reference.version}",
            ) from None
        texts |= await texts_of(session, found.references, depth + 1)
        texts[reference.name] = found.text
    return texts


async def read_candidate(session: ReadSession, candidate: Candidate, *, normalize: bool) -> Document:
    """The checked document of what a client sent. Raises `RegistryError` for what cannot be accepted."""
    refuse_other_types(candidate.schema_type)
    references = await texts_of(session, candidate.references)
    return read_document(candidate.text, normalize=normalize, references=references)


async def document_of(session: ReadSession, registered: Registered) -> Document:
    return known_document(registered.text, await texts_of(session, registered.references))


async def earlier_versions(session: ReadSession, registered: Sequence[Registered]) -> list[Earlier]:
    return [Earlier(one.version, await document_of(session, one)) for one in registered]


async def same_schema(
    session: ReadSession, subject: str, candidate: Candidate, *, normalize: bool, deleted: bool = False
) -> Registered | None:
    """The version that is this schema already, the latest one first.

    Nothing but the words is compared, so that a client that only asks for what is there needs no more work
    than one digest. Metadata and rules count when they were sent.
    """
    contents = parsed(candidate.text)
    texts = (
        {one_form(contents, normalize=False), one_form(contents, normalize=True)}
        if normalize
        else {one_form(contents, normalize=False)}
    )
    for one in reversed(await versions_of(session, subject, deleted=deleted)):
        if (
            one.text in texts
            and one.references == candidate.references
            and (candidate.metadata is None or candidate.metadata == one.metadata)
            and (candidate.rule_set is None or candidate.rule_set == one.rule_set)
        ):
            return one
    return None


async def settings_of(session: ReadSession, subject: str) -> Setting | None:
    return await session.get(Setting, subject)


async def level_of(session: ReadSession, subject: str) -> Level:
    """The level that holds for a subject: its own, else that of everything, else BACKWARD."""
    for name in (subject, EVERYTHING):
        found = await settings_of(session, name)
        if found is not None and found.level is not None:
            return Level(found.level)
    return Level.BACKWARD


async def mode_of(session: ReadSession, subject: str) -> Mode:
    for name in (subject, EVERYTHING):
        found = await settings_of(session, name)
        if found is not None and found.mode is not None:
            return Mode(found.mode)
    return Mode.READWRITE


async def normalizes(session: ReadSession, subject: str) -> bool:
    """Whether schemas of this subject are normalised though the client does not ask for it."""
    for name in (subject, EVERYTHING):
        found = await settings_of(session, name)
        if found is not None and "normalize" in found.others:
            return bool(found.others["normalize"])
    return False


def guid_of(document: Document, candidate: Candidate) -> Any:
    return guid(document.text, candidate.references, candidate.metadata, candidate.rule_set)
