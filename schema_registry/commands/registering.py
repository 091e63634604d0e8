"""Registering: a schema becomes a version of a subject, or is found to be one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from schema_registry.commands.guarding import lock_subject, refuse_read_only
from schema_registry.domain.configuration import Configuration
from schema_registry.domain.contexts import context_of
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import AnyDocument, Level, Mode, incompatibilities
from schema_registry.domain.registered import VERSION_MAX, Candidate, Registered
from schema_registry.models import Schema, SubjectVersion
from schema_registry.models.lookups import (
    configuration_of,
    earlier_versions,
    guid_of,
    mode_of,
    normalized,
    read_candidate,
    same_group,
    same_schema,
    versions_of,
)
from schema_registry.models.tagging import retagged
from service_kit.database import Session


async def register(
    session: Session, subject: str, candidate: Candidate, *, normalize: bool = False
) -> Registered:
    """Make the schema a version of the subject, or answer the version it is already."""
    await lock_subject(session, subject)
    configuration = await configuration_of(session, subject)
    normalize = normalize or configuration.normalize
    await refuse_read_only(session, subject)
    mode = await mode_of(session, subject)
    if candidate.id is not None and candidate.id >= 0 and mode is not Mode.IMPORT:
        raise RegistryError(Code.OPERATION_NOT_PERMITTED, f"Subject {subject} is not in import mode")
    candidate = await retagged(session, subject, candidate)
    document = await read_candidate(session, candidate, normalize=normalize)
    if normalize:
        candidate = normalized(candidate)
    known = await same_schema(session, subject, candidate, normalize=normalize)
    if known is not None:
        return known
    earlier = await versions_of(session, subject)
    candidate = _completed(candidate, configuration, earlier)
    if mode is not Mode.IMPORT:
        await _refuse_incompatible(session, subject, document, candidate, earlier, configuration)
    number = await _next_version(session, subject, candidate.version, importing=mode is Mode.IMPORT)
    schema = await schema_row(session, context_of(subject), document, candidate)
    return await add_version(session, subject, number, schema, candidate)


def _completed(
    candidate: Candidate, configuration: Configuration, earlier: Sequence[Registered]
) -> Candidate:
    """Metadata and rules that were not sent go on from the version before; the configuration adds its own."""
    previous = earlier[-1] if earlier else None
    return replace(
        candidate,
        metadata=configuration.metadata(candidate.metadata, previous.metadata if previous else None),
        rule_set=configuration.rule_set(candidate.rule_set, previous.rule_set if previous else None),
    )


async def _refuse_incompatible(
    session: Session,
    subject: str,
    document: AnyDocument,
    candidate: Candidate,
    earlier: Sequence[Registered],
    configuration: Configuration,
) -> None:
    if configuration.level is Level.NONE:
        return
    compared = same_group(earlier, configuration.group, candidate.metadata)
    considered = compared if configuration.level.transitive else compared[-1:]
    known = await earlier_versions(session, considered)
    reasons = incompatibilities(
        configuration.level, document, known, lenient=configuration.lenient, metadata=candidate.metadata
    )
    if reasons:
        raise RegistryError(
            Code.INCOMPATIBLE_SCHEMA,
            f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
            f"details: [{', '.join(reasons)}]",
        )


async def _next_version(session: Session, subject: str, wanted: int | None, *, importing: bool) -> int:
    latest = await session.scalar(
        select(func.max(SubjectVersion.version)).where(SubjectVersion.subject == subject)
    )
    following = (latest or 0) + 1
    if wanted is None or wanted in {-1, 0}:
        return following
    if importing and 1 <= wanted <= VERSION_MAX:
        taken = await session.get(SubjectVersion, (subject, wanted))
        if taken is None:
            return wanted
    if wanted != following:
        raise RegistryError(
            Code.INVALID_SCHEMA, f"Invalid schema: version {wanted} is not the next version, {following}"
        )
    return following


async def schema_row(session: Session, context: str, document: AnyDocument, candidate: Candidate) -> Schema:
    """The row of this very schema, made when there is none; equal schemas of several subjects share it."""
    guid: UUID = guid_of(document, candidate)
    here = (Schema.context == context) & (Schema.guid == guid)
    known = await session.scalar(select(Schema).where(here))
    brought = candidate.id if candidate.id is not None and candidate.id > 0 else None
    if known is not None:
        if brought not in {None, known.id}:
            raise RegistryError(
                Code.OPERATION_NOT_PERMITTED, f"This schema has the id {known.id} already, not {brought}."
            )
        return known
    values: dict[str, Any] = {
        "context": context,
        "guid": guid,
        "schema_type": candidate.schema_type,
        "text": document.text,
        "references": [reference.as_json() for reference in candidate.references],
        "details": candidate.metadata,
        "rule_set": candidate.rule_set,
    }
    if brought is not None:
        if await session.get(Schema, (context, brought)) is not None:
            raise RegistryError(
                Code.OPERATION_NOT_PERMITTED, f"Overwrite new schema with id {brought} is not permitted."
            )
        values["id"] = brought
    # Another subject may be adding the same schema at this moment; then its row is ours as well.
    await session.execute(
        insert(Schema).values(**values).on_conflict_do_nothing(index_elements=["context", "guid"])
    )
    if brought is not None:
        # Ids that are drawn later must not meet the one that was brought along.
        await session.execute(
            text("select setval(pg_get_serial_sequence('schemas', 'id'), max(id)) from schemas")
        )
    return (await session.scalars(select(Schema).where(here))).one()


async def add_version(
    session: Session, subject: str, number: int, schema: Schema, candidate: Candidate
) -> Registered:
    row = SubjectVersion(subject=subject, version=number, context=schema.context, schema_id=schema.id)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return Registered(
        subject=subject,
        version=number,
        id=schema.id,
        guid=schema.guid,
        schema_type=schema.schema_type,
        text=schema.text,
        references=candidate.references,
        metadata=schema.details,
        rule_set=schema.rule_set,
        deleted=False,
        created_at=row.created_at,
    )
