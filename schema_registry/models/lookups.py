"""Reads that commands and queries share: versions, references, settings."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, select

from schema_registry.domain.avro_documents import avro_form, read_avro
from schema_registry.domain.configuration import Configuration
from schema_registry.domain.contexts import levels_above
from schema_registry.domain.documents import (
    Reference,
    guid,
    known_document,
    one_form,
    parsed,
    read_document,
)
from schema_registry.domain.errors import Code, RegistryError, subject_not_found, version_not_found
from schema_registry.domain.levels import AnyDocument, Earlier, Mode
from schema_registry.domain.registered import AVRO_TYPE, JSON_TYPE, PROTOBUF_TYPE, Candidate, Registered
from schema_registry.models.tables import Schema, Setting, SubjectVersion
from service_kit.database import ReadSession

if TYPE_CHECKING:
    from schema_registry.domain.protobuf_documents import ProtobufDocument

REFERENCE_DEPTH_MAX = 20
TYPES = (JSON_TYPE, PROTOBUF_TYPE, AVRO_TYPE)
SERIALIZED = "serialized"
FORMATS = {(AVRO_TYPE, "resolved"), (PROTOBUF_TYPE, SERIALIZED), (PROTOBUF_TYPE, "ignore_extensions")}
SAME_SCHEMA = (Schema.context == SubjectVersion.context) & (Schema.id == SubjectVersion.schema_id)


def registered_rows() -> Select[SubjectVersion, Schema]:
    return select(SubjectVersion, Schema).join(Schema, SAME_SCHEMA)


def registered_of(version: SubjectVersion, schema: Schema) -> Registered:
    return Registered(
        subject=version.subject,
        version=version.version,
        id=schema.id,
        guid=schema.guid,
        schema_type=schema.schema_type,
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
        number = reference.version if reference.version > 0 else None
        try:
            found = await find_version(session, reference.subject, number)
        except RegistryError:
            raise RegistryError(
                Code.INVALID_SCHEMA,
                f'Invalid schema: no schema reference found for subject "{reference.subject}" '
                f"and version {reference.version}",
            ) from None
        texts |= await texts_of(session, found.references, depth + 1)
        texts[reference.name] = found.text
    return texts


def refuse_other_types(schema_type: str) -> None:
    """Refuse what this registry cannot judge, rather than call it compatible."""
    if schema_type not in TYPES:
        raise RegistryError(
            Code.INVALID_SCHEMA,
            f"Invalid schema type {schema_type}: this registry keeps {', '.join(TYPES)} schemas only",
        )


async def read_candidate(session: ReadSession, candidate: Candidate, *, normalize: bool) -> AnyDocument:
    """The checked document of what a client sent. Raises `RegistryError` for what cannot be accepted."""
    refuse_other_types(candidate.schema_type)
    references = await texts_of(session, candidate.references)
    if candidate.schema_type == PROTOBUF_TYPE:
        return await _read_protobuf(candidate.text, references, normalize=normalize)
    read = read_avro if candidate.schema_type == AVRO_TYPE else read_document
    return read(candidate.text, normalize=normalize, references=references)


async def _read_protobuf(text: str, references: dict[str, str], *, normalize: bool) -> "ProtobufDocument":
    """The compiler is a process of its own; others are served while it works."""
    # What Protobuf needs is loaded when it is asked for: a tenth of the time to start.
    from schema_registry.domain.protobuf_documents import read_protobuf  # noqa: PLC0415

    return await asyncio.to_thread(read_protobuf, text, normalize=normalize, references=references)


async def protobuf_document(text: str, references: dict[str, str]) -> "ProtobufDocument":
    """What is registered, read by the compiler in a process of its own."""
    from schema_registry.domain.protobuf_documents import known_protobuf  # noqa: PLC0415  as above

    return await asyncio.to_thread(known_protobuf, text, references)


async def document_of(session: ReadSession, registered: Registered) -> AnyDocument:
    references = await texts_of(session, registered.references)
    if registered.schema_type == AVRO_TYPE:
        return read_avro(registered.text, references=references)
    if registered.schema_type == PROTOBUF_TYPE:
        return await protobuf_document(registered.text, references)
    return known_document(registered.text, references)


async def formatted(
    session: ReadSession, schema_type: str, text: str, references: Sequence[Reference], wanted: str
) -> str:
    """The text in the form a client asks for. A form that the type does not have changes nothing."""
    if (schema_type, wanted) not in FORMATS:
        return text
    texts = await texts_of(session, references)
    if schema_type == AVRO_TYPE:
        return read_avro(text, references=texts).resolved()
    document = await protobuf_document(text, texts)
    return document.serialized() if wanted == SERIALIZED else document.without_extensions()


async def earlier_versions(session: ReadSession, registered: Sequence[Registered]) -> list[Earlier]:
    return [Earlier(one.version, await document_of(session, one), one.metadata) for one in registered]


async def same_schema(
    session: ReadSession, subject: str, candidate: Candidate, *, normalize: bool, deleted: bool = False
) -> Registered | None:
    """The version that is this schema already, the latest one first.

    Nothing but the words is compared, so that a client that only asks for what is there needs no more work
    than one digest. Metadata and rules count when they were sent.
    """
    references = _ordered(candidate.references) if normalize else candidate.references
    fitting = [
        one
        for one in reversed(await versions_of(session, subject, deleted=deleted))
        if one.schema_type == candidate.schema_type
        and one.references in {references, candidate.references}
        and (candidate.metadata is None or candidate.metadata == one.metadata)
        and (candidate.rule_set is None or candidate.rule_set == one.rule_set)
    ]
    if candidate.schema_type == PROTOBUF_TYPE:
        return await _same_protobuf(session, candidate, fitting, normalize=normalize)
    texts = {_form(candidate, normalize=False)}
    if normalize:
        texts.add(_form(candidate, normalize=True))
    return next((one for one in fitting if one.text in texts), None)


async def _same_protobuf(
    session: ReadSession, candidate: Candidate, fitting: Sequence[Registered], *, normalize: bool
) -> Registered | None:
    """The same for the type whose words only a compiler can bring to one form: it is asked last."""
    for one in fitting:
        if one.text == candidate.text:
            return one
    forms = {
        (await read_candidate(session, candidate, normalize=ordered)).text for ordered in {False, normalize}
    }
    for one in fitting:
        if one.text in forms:
            return one
    for one in fitting:
        # Whatever was brought along from another registry has the words of that one.
        if await _protobuf_form(session, one) in forms:
            return one
    return None


async def _protobuf_form(session: ReadSession, registered: Registered) -> str | None:
    """The one form of what is registered; None where this compiler does not know its words."""
    try:
        references = await texts_of(session, registered.references)
        return (await _read_protobuf(registered.text, references, normalize=False)).text
    except RegistryError:
        return None


def _form(candidate: Candidate, *, normalize: bool) -> str:
    if candidate.schema_type == AVRO_TYPE:
        return avro_form(candidate.text, normalize=normalize)
    return one_form(parsed(candidate.text), normalize=normalize)


def _ordered(references: Sequence[Reference]) -> tuple[Reference, ...]:
    return tuple(sorted(set(references), key=lambda one: (one.name, one.subject, one.version)))


def normalized(candidate: Candidate) -> Candidate:
    """References in their order and each once; the text is the business of its document."""
    return replace(candidate, references=_ordered(candidate.references))


async def settings_of(session: ReadSession, subject: str) -> Setting | None:
    return await session.get(Setting, subject)


async def settings_above(session: ReadSession, subject: str) -> list[Setting]:
    """The settings that hold for a subject, nearest first."""
    wanted = levels_above(subject)
    found = {
        one.subject: one for one in await session.scalars(select(Setting).where(Setting.subject.in_(wanted)))
    }
    return [found[name] for name in wanted if name in found]


async def configuration_of(session: ReadSession, subject: str) -> Configuration:
    return Configuration.gathered([(one.level, one.others) for one in await settings_above(session, subject)])


async def mode_of(session: ReadSession, subject: str) -> Mode:
    for one in await settings_above(session, subject):
        if one.mode is not None:
            return Mode(one.mode)
    return Mode.READWRITE


async def subject_meant(session: ReadSession, subject: str) -> str:
    """The subject itself, or the one that it is configured to be another name of."""
    found = await settings_of(session, subject)
    alias = found.others.get("alias") if found is not None else None
    return str(alias) if alias else subject


def same_group(
    registered: Sequence[Registered], group: str | None, metadata: dict[str, Any] | None
) -> list[Registered]:
    """The versions that a new one is compared with: all, or those whose metadata has the same value."""
    if group is None:
        return list(registered)

    def value(of: dict[str, Any] | None) -> Any:
        return ((of or {}).get("properties") or {}).get(group)

    return [one for one in registered if value(one.metadata) == value(metadata)]


def guid_of(document: AnyDocument, candidate: Candidate) -> Any:
    return guid(document.text, candidate.references, candidate.metadata, candidate.rule_set)
