"""Bringing an export in: ids, versions, times and settings as they were."""

from datetime import UTC, datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from schema_registry.commands.guarding import lock_everything
from schema_registry.domain.contexts import context_of
from schema_registry.domain.documents import Reference, guid
from schema_registry.domain.moving import Export, Moved, MovedVersion, MoveError, in_order
from schema_registry.models import Schema, Setting, SubjectVersion
from schema_registry.models.lookups import TYPES
from service_kit.database import Session


async def bring_in(session: Session, export: Export) -> Moved:
    """Add everything that is missing. Safe to repeat. Raises `MoveError` where something else is there.

    Schemas are not compared with each other: what was accepted once is history.
    """
    await lock_everything(session)
    added = known = 0
    left_out: list[str] = []
    for one in in_order(export.versions):
        if one.schema_type not in TYPES:
            left_out.append(f"{one.subject} version {one.version} ({one.schema_type})")
        elif await _bring_version(session, one):
            added += 1
        else:
            known += 1
    for setting in export.settings:
        await session.execute(
            insert(Setting)
            .values(subject=setting.subject, level=setting.level, mode=setting.mode, others=setting.others)
            .on_conflict_do_nothing()
        )
    # Ids that are drawn later must not meet those that were brought along.
    await session.execute(
        text(
            "select setval(pg_get_serial_sequence('schemas', 'id'), max(id)) from schemas having count(*) > 0"
        )
    )
    return Moved(added, known, left_out)


async def _bring_version(session: Session, one: MovedVersion) -> bool:
    context = context_of(one.subject)
    there = await session.get(SubjectVersion, (one.subject, one.version))
    schema = await session.get(Schema, (context, one.id))
    if schema is None:
        schema = await _bring_schema(session, context, one)
    elif schema.text != one.text:
        raise MoveError(
            f"Id {one.id} is another schema here than that of {one.subject} version {one.version}."
        )
    if there is not None:
        if there.schema_id != schema.id:
            raise MoveError(
                f"{one.subject} version {one.version} has id {there.schema_id} here, not {one.id}."
            )
        return False
    values = {
        "subject": one.subject,
        "version": one.version,
        "context": context,
        "schema_id": schema.id,
        "deleted": one.deleted,
    }
    if one.ts is not None:
        values["created_at"] = datetime.fromtimestamp(one.ts / 1000, UTC)
    await session.execute(insert(SubjectVersion).values(**values))
    return True


async def _bring_schema(session: Session, context: str, one: MovedVersion) -> Schema:
    references = [Reference(ref.name, ref.subject, ref.version) for ref in one.references]
    wanted = one.guid or guid(one.text, references, one.metadata, one.rule_set)
    twin = await session.scalar(select(Schema).where(Schema.context == context, Schema.guid == wanted))
    if twin is not None:
        raise MoveError(
            f"The schema of {one.subject} version {one.version} has id {twin.id} here, not {one.id}; "
            "bring the export into a context of its own."
        )
    made = Schema(
        context=context,
        id=one.id,
        guid=wanted,
        schema_type=one.schema_type,
        text=one.text,
        references=[reference.as_json() for reference in references],
        details=one.metadata,
        rule_set=one.rule_set,
    )
    session.add(made)
    await session.flush()
    return made
