"""Every read of the registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select

from schema_registry.domain import errors
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Level, Mode, incompatibilities
from schema_registry.domain.registered import (
    DEFAULT_CONTEXT,
    EVERY_CONTEXT,
    Candidate,
    Registered,
    refuse_other_types,
)
from schema_registry.models import Schema, SubjectVersion
from schema_registry.models.lookups import (
    EVERYTHING,
    all_of,
    earlier_versions,
    find_version,
    level_of,
    mode_of,
    normalizes,
    read_candidate,
    registered_rows,
    same_schema,
    settings_of,
    versions_of,
)
from service_kit.database import ReadSession

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing:
    """Which part of a list: softly deleted ones too or only, and how much of it from where."""

    deleted: bool = False
    deleted_only: bool = False
    offset: int = 0
    limit: int | None = None

    def part(self, found: Sequence[T]) -> list[T]:
        end = None if self.limit is None or self.limit < 0 else self.offset + self.limit
        return list(found[self.offset : end])

    def shows(self, *, deleted: bool) -> bool:
        return deleted if self.deleted_only else self.deleted or not deleted


async def subjects(session: ReadSession, prefix: str, listing: Listing) -> list[str]:
    plain = prefix.removeprefix(EVERY_CONTEXT).removeprefix(DEFAULT_CONTEXT)
    statement = select(SubjectVersion.subject).where(
        SubjectVersion.subject.startswith(plain, autoescape=True)
    )
    live = set(await session.scalars(statement.where(~SubjectVersion.deleted).distinct()))
    every = set(await session.scalars(statement.distinct()))
    shown = every - live if listing.deleted_only else every if listing.deleted else live
    return listing.part(sorted(shown))


async def versions(session: ReadSession, subject: str, listing: Listing) -> list[int]:
    found = [
        one.version
        for one in await versions_of(session, subject, deleted=True)
        if listing.shows(deleted=one.deleted)
    ]
    if not found:
        raise errors.subject_not_found(subject)
    return listing.part(found)


async def version(
    session: ReadSession, subject: str, number: int | None, *, deleted: bool = False
) -> Registered:
    return await find_version(session, subject, number, deleted=deleted)


async def schema(session: ReadSession, schema_id: int) -> Schema:
    """A schema by the id that stands in records, even when its versions were deleted softly."""
    found = await session.get(Schema, schema_id)
    if found is None:
        raise errors.schema_not_found(schema_id)
    return found


async def schema_by_guid(session: ReadSession, guid: str) -> Schema:
    try:
        wanted = UUID(guid)
    except ValueError:
        raise errors.schema_not_found(guid) from None
    found = await session.scalar(select(Schema).where(Schema.guid == wanted))
    if found is None:
        raise errors.schema_not_found(guid)
    return found


async def uses_of(
    session: ReadSession, schema_id: int, listing: Listing, subject: str = ""
) -> list[Registered]:
    """The versions of subjects that are this schema."""
    await schema(session, schema_id)
    statement = (
        registered_rows()
        .where(SubjectVersion.schema_id == schema_id)
        .order_by(SubjectVersion.subject, SubjectVersion.version)
    )
    found = [one for one in await all_of(session, statement) if listing.shows(deleted=one.deleted)]
    if subject:
        found = [one for one in found if one.subject == subject]
    return listing.part(found)


async def schemas(
    session: ReadSession, prefix: str, listing: Listing, *, latest_only: bool = False
) -> list[Registered]:
    """Every version of every subject."""
    plain = prefix.removeprefix(EVERY_CONTEXT).removeprefix(DEFAULT_CONTEXT)
    statement = (
        registered_rows()
        .where(SubjectVersion.subject.startswith(plain, autoescape=True))
        .order_by(SubjectVersion.subject, SubjectVersion.version)
    )
    found = [one for one in await all_of(session, statement) if listing.shows(deleted=one.deleted)]
    if latest_only:
        found = list({one.subject: one for one in found}.values())
    return listing.part(found)


async def lookup(
    session: ReadSession, subject: str, candidate: Candidate, *, normalize: bool, deleted: bool
) -> Registered:
    """The version that is this schema. Raises `RegistryError` when the subject or the schema is not there."""
    if not await versions_of(session, subject, deleted=deleted):
        raise errors.subject_not_found(subject)
    refuse_other_types(candidate.schema_type)
    normalize = normalize or await normalizes(session, subject)
    try:
        found = await same_schema(session, subject, candidate, normalize=normalize, deleted=deleted)
    except RegistryError:
        # What is no schema at all is registered nowhere; Confluent's registry says no more than that.
        found = None
    if found is None:
        raise errors.schema_not_found()
    return found


async def registered_already(
    session: ReadSession, subject: str, candidate: Candidate, *, normalize: bool
) -> Registered | None:
    """The version a registration would answer without changing anything; None when it would have to."""
    refuse_other_types(candidate.schema_type)
    normalize = normalize or await normalizes(session, subject)
    return await same_schema(session, subject, candidate, normalize=normalize)


async def compatibility(
    session: ReadSession, subject: str, candidate: Candidate, number: int | str | None, *, normalize: bool
) -> list[str]:
    """Why the schema may not follow: one version, the latest (None), or all that count (`"all"`)."""
    document = await read_candidate(session, candidate, normalize=normalize)
    level = await level_of(session, subject)
    if level is Level.NONE:
        return []
    found = await versions_of(session, subject)
    if number == "all":
        chosen = found
    elif number is None:
        chosen = found[-1:]
    else:
        chosen = [one for one in found if one.version == number]
        if not chosen:
            raise errors.version_not_found(str(number))
    if number == "all" and not level.transitive:
        chosen = chosen[-1:]
    return incompatibilities(level, document, await earlier_versions(session, chosen))


async def referenced_by(session: ReadSession, subject: str, number: int | None) -> list[int]:
    """Ids of the schemas that reference a version."""
    found = await find_version(session, subject, number, deleted=True)
    wanted = [{"subject": found.subject, "version": found.version}]
    statement = (
        select(Schema.id)
        .join(SubjectVersion, SubjectVersion.schema_id == Schema.id)
        .where(Schema.references.contains(wanted), ~SubjectVersion.deleted)
        .distinct()
        .order_by(Schema.id)
    )
    return list(await session.scalars(statement))


async def configuration(session: ReadSession, subject: str, *, default_to_global: bool) -> dict[str, Any]:
    """The configuration as the protocol shows it. Raises `RegistryError` when a subject has none itself."""
    found = await settings_of(session, subject)
    if found is not None and found.level is not None:
        return {"compatibilityLevel": found.level, **found.others}
    if subject == EVERYTHING:
        return {"compatibilityLevel": Level.BACKWARD.value, **(found.others if found else {})}
    if default_to_global:
        return await configuration(session, EVERYTHING, default_to_global=False)
    raise RegistryError(
        Code.SUBJECT_LEVEL_NOT_CONFIGURED,
        f"Subject '{subject}' does not have subject-level compatibility configured",
    )


async def mode(session: ReadSession, subject: str, *, default_to_global: bool) -> Mode:
    found = await settings_of(session, subject)
    if subject == EVERYTHING or default_to_global or (found is not None and found.mode is not None):
        return await mode_of(session, subject)
    raise RegistryError(
        Code.SUBJECT_MODE_NOT_CONFIGURED, f"Subject '{subject}' does not have subject-level mode configured"
    )


async def registered_versions(session: ReadSession) -> dict[tuple[str, int], Registered]:
    """Everything that is registered and not deleted, for the catalogue."""
    return {(one.subject, one.version): one for one in await schemas(session, "", Listing())}


async def latest_with_metadata(
    session: ReadSession, subject: str, wanted: dict[str, str], *, deleted: bool
) -> Registered:
    """The latest version whose metadata has all these properties."""
    found = await versions_of(session, subject, deleted=deleted)
    if not found:
        raise errors.subject_not_found(subject)
    for one in reversed(found):
        properties = (one.metadata or {}).get("properties") or {}
        if all(properties.get(key) == value for key, value in wanted.items()):
            return one
    raise errors.schema_not_found()
