"""Every change of the registry: registering, deleting, configuring, and taking over the contract files.

Registrations of one subject wait for each other; deletions and settings wait for everybody, because they
take away what a registration may just be building on.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from schema_registry.domain import errors
from schema_registry.domain.contracts import Contract, ContractError
from schema_registry.domain.documents import Document
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Earlier, Level, Mode, incompatibilities
from schema_registry.domain.registered import VERSION_MAX, Candidate, Registered
from schema_registry.models import Schema, Setting, SubjectVersion
from schema_registry.models.lookups import (
    EVERYTHING,
    document_of,
    earlier_versions,
    guid_of,
    level_of,
    mode_of,
    normalizes,
    read_candidate,
    same_schema,
    versions_of,
)
from service_kit.database import Session, lock_key

ALL_SUBJECTS = "registry: all subjects"


async def register(
    session: Session, subject: str, candidate: Candidate, *, normalize: bool = False
) -> Registered:
    """Make the schema a version of the subject, or answer the version it is already."""
    await _lock_subject(session, subject)
    normalize = normalize or await normalizes(session, subject)
    mode = await mode_of(session, subject)
    if mode.refuses_writing:
        raise RegistryError(Code.OPERATION_NOT_PERMITTED, f"Subject {subject} is in read-only mode")
    if candidate.id is not None and candidate.id >= 0 and mode is not Mode.IMPORT:
        raise RegistryError(Code.OPERATION_NOT_PERMITTED, f"Subject {subject} is not in import mode")
    document = await read_candidate(session, candidate, normalize=normalize)
    known = await same_schema(session, subject, candidate, normalize=normalize)
    if known is not None:
        return known
    earlier = await versions_of(session, subject)
    if mode is not Mode.IMPORT:
        await _refuse_incompatible(session, subject, document, earlier)
    if earlier:
        candidate = _inheriting(candidate, earlier[-1])
    number = await _next_version(session, subject, candidate.version)
    schema = await _schema_row(session, document, candidate)
    return await _add_version(session, subject, number, schema, candidate)


async def delete_subject(session: Session, subject: str, *, permanent: bool) -> list[int]:
    """Delete every version of a subject, softly, and permanently only after that. Answers their numbers."""
    await _lock_everything(session)
    found = await versions_of(session, subject, deleted=True)
    if not found:
        raise errors.subject_not_found(subject)
    await _refuse_read_only(session, subject)
    live = [one for one in found if not one.deleted]
    if not permanent:
        if not live:
            raise RegistryError(
                Code.SUBJECT_SOFT_DELETED,
                f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently",
            )
        found = live
    elif live:
        raise RegistryError(
            Code.SUBJECT_NOT_SOFT_DELETED,
            f"Subject '{subject}' was not deleted first before being permanently deleted",
        )
    for one in found:
        await _refuse_referenced(session, one)
    await _take_away(session, found, permanent=permanent)
    if permanent:
        await session.execute(delete(Setting).where(Setting.subject == subject))
    return [one.version for one in found]


async def delete_version(session: Session, subject: str, number: int | None, *, permanent: bool) -> int:
    """Delete one version, softly, and permanently only after that."""
    await _lock_everything(session)
    one = await _version_to_delete(session, subject, number, permanent=permanent)
    await _refuse_read_only(session, subject)
    if one.deleted and not permanent:
        raise RegistryError(
            Code.VERSION_SOFT_DELETED,
            f"Subject '{subject}' Version {one.version} was soft deleted. "
            "Set permanent=true to delete permanently",
        )
    if permanent and not one.deleted:
        raise RegistryError(
            Code.VERSION_NOT_SOFT_DELETED,
            f"Subject '{subject}' Version {one.version} was not deleted first "
            "before being permanently deleted",
        )
    await _refuse_referenced(session, one)
    await _take_away(session, [one], permanent=permanent)
    return one.version


async def configure(session: Session, subject: str, level: Level | None, others: dict[str, Any]) -> None:
    """Set the level of a subject (or of everything); fields that were not sent stay as they are."""
    await _lock_everything(session)
    values: dict[str, Any] = {"subject": subject, "others": others}
    if level is not None:
        values["level"] = level.value
    statement = insert(Setting).values(**values)
    changes: dict[str, Any] = {"others": Setting.others.op("||")(statement.excluded.others)}
    if level is not None:
        changes["level"] = level.value
    await session.execute(statement.on_conflict_do_update(index_elements=["subject"], set_=changes))


async def forget_configuration(session: Session, subject: str) -> Level:
    """Let what is set above hold again; answers the level that held."""
    await _lock_everything(session)
    found = await session.get(Setting, subject)
    if found is None or found.level is None:
        if subject != EVERYTHING:
            raise errors.subject_not_found(subject)
        return Level.BACKWARD
    level = Level(found.level)
    found.level, found.others = None, {}
    return level


async def set_mode(session: Session, subject: str, mode: Mode, *, force: bool) -> None:
    """Set what may be done. Ids can be chosen only where there are none yet."""
    await _lock_everything(session)
    if mode is Mode.IMPORT and not force and await _has_versions(session, subject):
        raise RegistryError(
            Code.OPERATION_NOT_PERMITTED,
            "Cannot import since found existing subjects"
            if not subject
            else f"Cannot import to {subject}: it has versions",
        )
    await session.execute(
        insert(Setting)
        .values(subject=subject, mode=mode.value)
        .on_conflict_do_update(index_elements=["subject"], set_={"mode": mode.value})
    )


async def forget_mode(session: Session, subject: str) -> Mode:
    await _lock_everything(session)
    found = await session.get(Setting, subject)
    if found is None or found.mode is None:
        if subject != EVERYTHING:
            raise errors.subject_not_found(subject)
        return Mode.READWRITE
    mode = Mode(found.mode)
    found.mode = None
    return mode


async def register_contracts(session: Session, contracts: Sequence[Contract]) -> list[str]:
    """Take over the contract files: version n of a file is version n of its subject, for ever.

    Safe to repeat and to run in several processes at once. Answers the versions that are new. Raises
    `ContractError` when a file that was registered has changed, or a new version breaks its promise.
    """
    await _lock_everything(session)
    added: list[str] = []
    for contract in contracts:
        await configure(session, contract.subject, Level.FORWARD_TRANSITIVE, {})
        known = {one.version: one for one in await versions_of(session, contract.subject, deleted=True)}
        for version in contract.versions:
            if version.number in known:
                _refuse_changed(contract, version.path, version.document, known[version.number])
                continue
            if version.number != max(known, default=0) + 1:
                raise ContractError(
                    f"{version.path}: subject {contract.subject} is at version {max(known)} already; "
                    "somebody registered versions that are not in the files"
                )
            earlier = await earlier_versions(session, list(known.values()))
            reasons = incompatibilities(Level.FORWARD_TRANSITIVE, version.document, earlier)
            if reasons:
                raise ContractError(f"{version.path} is not compatible with an earlier version: {reasons[0]}")
            candidate = Candidate(version.document.text, "JSON")
            schema = await _schema_row(session, version.document, candidate)
            known[version.number] = await _add_version(
                session, contract.subject, version.number, schema, candidate
            )
            added.append(version.path)
    return added


def _refuse_changed(contract: Contract, path: str, document: Document, known: Registered) -> None:
    if known.text != document.text:
        raise ContractError(
            f"{path} differs from version {known.version} of {contract.subject} as it was registered; "
            "a published version never changes, write the next one"
        )


async def _lock_subject(session: Session, subject: str) -> None:
    await session.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": lock_key(ALL_SUBJECTS)})
    await session.execute(
        text("select pg_advisory_xact_lock(:key)"), {"key": lock_key(f"registry: {subject}")}
    )


async def _lock_everything(session: Session) -> None:
    await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock_key(ALL_SUBJECTS)})


async def _refuse_incompatible(
    session: Session, subject: str, document: Document, earlier: Sequence[Registered]
) -> None:
    level = await level_of(session, subject)
    if level is Level.NONE:
        return
    considered = earlier if level.transitive else earlier[-1:]
    known = [Earlier(one.version, await document_of(session, one)) for one in considered]
    reasons = incompatibilities(level, document, known)
    if reasons:
        raise RegistryError(
            Code.INCOMPATIBLE_SCHEMA,
            f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
            f"details: [{', '.join(reasons)}]",
        )


def _inheriting(candidate: Candidate, previous: Registered) -> Candidate:
    """Metadata and rules that were not sent go on from the version before."""
    return Candidate(
        text=candidate.text,
        schema_type=candidate.schema_type,
        references=candidate.references,
        metadata=previous.metadata if candidate.metadata is None else candidate.metadata,
        rule_set=previous.rule_set if candidate.rule_set is None else candidate.rule_set,
        id=candidate.id,
        version=candidate.version,
    )


async def _next_version(session: Session, subject: str, wanted: int | None) -> int:
    latest = await session.scalar(
        select(func.max(SubjectVersion.version)).where(SubjectVersion.subject == subject)
    )
    following = (latest or 0) + 1
    if wanted is None or wanted in {-1, 0}:
        return following
    mode = await mode_of(session, subject)
    if mode is Mode.IMPORT and following <= wanted <= VERSION_MAX:
        return wanted
    if wanted != following:
        raise RegistryError(
            Code.INVALID_SCHEMA, f"Invalid schema: version {wanted} is not the next version, {following}"
        )
    return following


async def _schema_row(session: Session, document: Document, candidate: Candidate) -> Schema:
    """The row of this very schema, made when there is none; equal schemas of several subjects share it."""
    guid: UUID = guid_of(document, candidate)
    known = await session.scalar(select(Schema).where(Schema.guid == guid))
    if known is not None:
        return known
    values: dict[str, Any] = {
        "guid": guid,
        "text": document.text,
        "references": [reference.as_json() for reference in candidate.references],
        "details": candidate.metadata,
        "rule_set": candidate.rule_set,
    }
    if candidate.id is not None and candidate.id > 0:
        if await session.get(Schema, candidate.id) is not None:
            raise RegistryError(
                Code.OPERATION_NOT_PERMITTED, f"Overwrite new schema with id {candidate.id} is not permitted."
            )
        values["id"] = candidate.id
    # Another subject may be adding the same schema at this moment; then its row is ours as well.
    await session.execute(insert(Schema).values(**values).on_conflict_do_nothing(index_elements=["guid"]))
    if "id" in values:
        # Ids that are drawn later must not meet the one that was brought along.
        await session.execute(
            text("select setval(pg_get_serial_sequence('schemas', 'id'), max(id)) from schemas")
        )
    return (await session.scalars(select(Schema).where(Schema.guid == guid))).one()


async def _add_version(
    session: Session, subject: str, number: int, schema: Schema, candidate: Candidate
) -> Registered:
    row = SubjectVersion(subject=subject, version=number, schema_id=schema.id)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return Registered(
        subject=subject,
        version=number,
        id=schema.id,
        guid=schema.guid,
        text=schema.text,
        references=candidate.references,
        metadata=schema.details,
        rule_set=schema.rule_set,
        deleted=False,
        created_at=row.created_at,
    )


async def _version_to_delete(
    session: Session, subject: str, number: int | None, *, permanent: bool
) -> Registered:
    found = await versions_of(session, subject, deleted=True)
    live = [one for one in found if not one.deleted]
    if not found or (not live and not permanent):
        raise errors.subject_not_found(subject)
    if number is None:
        return live[-1] if live else found[-1]
    for one in found:
        if one.version == number:
            return one
    raise errors.version_not_found(number)


async def _refuse_read_only(session: Session, subject: str) -> None:
    if (await mode_of(session, subject)).refuses_writing:
        raise RegistryError(Code.OPERATION_NOT_PERMITTED, f"Subject {subject} is in read-only mode")


async def _refuse_referenced(session: Session, one: Registered) -> None:
    wanted = [{"subject": one.subject, "version": one.version}]
    referenced = await session.scalar(
        select(exists().where(Schema.references.contains(wanted), Schema.id == SubjectVersion.schema_id))
    )
    if referenced:
        raise RegistryError(
            Code.REFERENCE_EXISTS,
            f"One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={one.subject},"
            f"version={one.version}}}.",
        )


async def _take_away(session: Session, found: Sequence[Registered], *, permanent: bool) -> None:
    for one in found:
        here = (SubjectVersion.subject == one.subject) & (SubjectVersion.version == one.version)
        if permanent:
            await session.execute(delete(SubjectVersion).where(here))
        else:
            await session.execute(update(SubjectVersion).where(here).values(deleted=True))
    if permanent:
        in_use = exists().where(SubjectVersion.schema_id == Schema.id)
        ids = {one.id for one in found}
        await session.execute(delete(Schema).where(Schema.id.in_(ids), ~in_use))


async def _has_versions(session: Session, subject: str) -> bool:
    statement = select(SubjectVersion.version).limit(1)
    if subject:
        statement = statement.where(SubjectVersion.subject == subject)
    return await session.scalar(statement) is not None
