"""Every read of the registry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, false, func, select

from schema_registry.domain import errors
from schema_registry.domain.configuration import Configuration, has_rule
from schema_registry.domain.contexts import DEFAULT, EVERY, context_of, name_in, prefix_of
from schema_registry.domain.documents import Reference
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Level, Mode, incompatibilities
from schema_registry.domain.moving import Export, MovedSetting, MovedVersion
from schema_registry.domain.registered import Candidate, Registered
from schema_registry.models import Schema, Setting, SubjectVersion
from schema_registry.models.lookups import (
    SAME_SCHEMA,
    all_of,
    configuration_of,
    earlier_versions,
    find_version,
    formatted,
    mode_of,
    normalized,
    read_candidate,
    refuse_other_types,
    registered_rows,
    same_group,
    same_schema,
    settings_above,
    settings_of,
    subject_meant,
    versions_of,
)
from schema_registry.models.tagging import retagged, tags_of
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


def _named(prefix: str) -> ColumnElement[bool]:
    """The subjects a listing asks for: those of every context, or those whose names begin like this."""
    if not prefix.isprintable():
        # No name is like that.
        return false()
    begin = prefix_of(prefix)
    if begin is None:
        return SubjectVersion.context == DEFAULT
    return SubjectVersion.subject.startswith(begin, autoescape=True)


async def subjects(session: ReadSession, prefix: str, listing: Listing) -> list[str]:
    statement = select(SubjectVersion.subject).where(_named(prefix))
    live = set(await session.scalars(statement.where(~SubjectVersion.deleted).distinct()))
    every = set(await session.scalars(statement.distinct()))
    shown = every - live if listing.deleted_only else every if listing.deleted else live
    return listing.part(sorted(shown))


async def meant(session: ReadSession, subject: str) -> str:
    """The subject behind a name that may be an alias."""
    return await subject_meant(session, subject)


async def contexts(session: ReadSession, prefix: str, listing: Listing) -> list[str]:
    """The contexts that have subjects; the default one is always there."""
    found = set(await session.scalars(select(SubjectVersion.context).distinct())) | {DEFAULT}
    return listing.part(sorted(name for name in found if name.startswith(prefix)))


async def versions(
    session: ReadSession, subject: str, listing: Listing, *, deleted_as_negative: bool = False
) -> list[int]:
    """Numbers of the versions; those deleted softly as negative ones where that is asked for."""
    listing = replace(listing, deleted=True) if deleted_as_negative else listing
    found = [
        -one.version if one.deleted and deleted_as_negative else one.version
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


async def history(session: ReadSession, subject: str) -> list[Registered]:
    """Every version of a subject in its order, those deleted softly too."""
    return await versions_of(session, subject, deleted=True)


async def schema(session: ReadSession, schema_id: int, subject: str = "") -> Schema:
    """A schema by the id that stands in records, even when its versions were deleted softly.

    Ids belong to a context. A subject tells which; a plain name that is not in the default context is looked
    for in the others.
    """
    context = context_of(subject)
    found = await session.get(Schema, (context, schema_id))
    if found is None and context == DEFAULT:
        name = subject or None
        statement = select(Schema).join(SubjectVersion, SAME_SCHEMA).where(Schema.id == schema_id)
        if name is not None:
            statement = statement.where(SubjectVersion.subject.endswith(f":{name}", autoescape=True))
            found = await session.scalar(statement.order_by(Schema.context).limit(1))
    if found is None:
        raise errors.schema_not_found(schema_id)
    return found


async def in_form(session: ReadSession, found: Registered, wanted: str) -> Registered:
    """A version with its text in the form a client asks for."""
    text = await formatted(session, found.schema_type, found.text, found.references, wanted)
    return replace(found, text=text)


async def text_in_form(session: ReadSession, found: Schema, wanted: str) -> str:
    """The same of a schema without a version."""
    references = [Reference(**reference) for reference in found.references]
    return await formatted(session, found.schema_type, found.text, references, wanted)


async def schema_tags(
    session: ReadSession, found: Registered | Schema, wanted: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """The parts that carry one of these tags, as the protocol shows them; nothing where there are none."""
    if not wanted:
        return {}
    references = [one if isinstance(one, Reference) else Reference(**one) for one in found.references]
    tags = await tags_of(session, found.schema_type, found.text, references, wanted)
    return {"schemaTags": [one.as_json() for one in tags]} if tags else {}


async def highest_id(session: ReadSession, subject: str = "") -> int:
    """The highest id given out in the subject's context."""
    statement = select(func.max(Schema.id)).where(Schema.context == context_of(subject))
    return await session.scalar(statement) or 0


async def schemas_by_guid(session: ReadSession, guid: str) -> list[Schema]:
    """The same schema in every context that has it, the default one first."""
    try:
        wanted = UUID(guid)
    except ValueError:
        raise errors.schema_not_found(guid) from None
    found = list(await session.scalars(select(Schema).where(Schema.guid == wanted).order_by(Schema.context)))
    if not found:
        raise errors.schema_not_found(guid)
    return found


async def uses_of(
    session: ReadSession, schema_id: int, listing: Listing, subject: str = ""
) -> list[Registered]:
    """The versions of subjects that are this schema."""
    known = await schema(session, schema_id, subject)
    statement = (
        registered_rows()
        .where(SubjectVersion.schema_id == schema_id, SubjectVersion.context == known.context)
        .order_by(SubjectVersion.subject, SubjectVersion.version)
    )
    found = [one for one in await all_of(session, statement) if listing.shows(deleted=one.deleted)]
    if subject and subject != name_in(context_of(subject), ""):
        found = [one for one in found if one.subject == subject]
    return listing.part(found)


async def schemas(
    session: ReadSession,
    prefix: str,
    listing: Listing,
    *,
    latest_only: bool = False,
    aliases: bool = False,
    rule_type: str = "",
) -> list[Registered]:
    """Every version of every subject; with `aliases` also under the other names of each.

    With `rule_type` only those that have a rule of that type.
    """
    statement = (
        registered_rows().where(_named(prefix)).order_by(SubjectVersion.subject, SubjectVersion.version)
    )
    found = [one for one in await all_of(session, statement) if listing.shows(deleted=one.deleted)]
    if rule_type:
        found = [one for one in found if has_rule(one.rule_set, rule_type)]
    if latest_only:
        found = list({one.subject: one for one in found}.values())
    if aliases:
        rows = await session.scalars(select(Setting).where(Setting.others.has_key("alias")))
        names = [(row.subject, row.others["alias"]) for row in rows]
        found += [
            replace(one, subject=name) for name, alias in names for one in found if one.subject == alias
        ]
    return listing.part(found)


async def lookup(
    session: ReadSession, subject: str, candidate: Candidate, *, normalize: bool, deleted: bool
) -> Registered:
    """The version that is this schema. Raises `RegistryError` when the subject or the schema is not there."""
    if not await versions_of(session, subject, deleted=deleted):
        raise errors.subject_not_found(subject)
    refuse_other_types(candidate.schema_type)
    normalize = normalize or (await configuration_of(session, subject)).normalize
    if normalize:
        candidate = normalized(candidate)
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
    candidate = await retagged(session, subject, candidate)
    normalize = normalize or (await configuration_of(session, subject)).normalize
    if normalize:
        candidate = normalized(candidate)
    return await same_schema(session, subject, candidate, normalize=normalize)


async def compatibility(
    session: ReadSession, subject: str, candidate: Candidate, number: int | str | None, *, normalize: bool
) -> list[str]:
    """Why the schema may not follow: one version, the latest (None), or all that count (`"all"`)."""
    configuration = await configuration_of(session, subject)
    document = await read_candidate(session, candidate, normalize=normalize or configuration.normalize)
    found = await versions_of(session, subject)
    if number == "all" or number is None:
        chosen = found if number == "all" else found[-1:]
    else:
        chosen = [one for one in found if one.version == number]
        if not chosen:
            raise errors.version_not_found(str(number))
    if configuration.level is Level.NONE:
        return []
    metadata = _metadata(configuration, candidate, found)
    if number == "all":
        chosen = same_group(chosen, configuration.group, metadata)
        chosen = chosen if configuration.level.transitive else chosen[-1:]
    earlier = await earlier_versions(session, chosen)
    return incompatibilities(
        configuration.level, document, earlier, lenient=configuration.lenient, metadata=metadata
    )


def _metadata(
    configuration: Configuration, candidate: Candidate, found: Sequence[Registered]
) -> dict[str, Any] | None:
    return configuration.metadata(candidate.metadata, found[-1].metadata if found else None)


async def referenced_by(session: ReadSession, subject: str, number: int | None) -> list[int]:
    """Ids of the schemas that reference a version."""
    found = await find_version(session, subject, number, deleted=True)
    wanted = [{"subject": found.subject, "version": found.version}]
    statement = (
        select(Schema.id)
        .join(SubjectVersion, SAME_SCHEMA)
        .where(Schema.references.contains(wanted), ~SubjectVersion.deleted)
        .distinct()
        .order_by(Schema.id)
    )
    return list(await session.scalars(statement))


async def configuration(session: ReadSession, subject: str, *, default_to_global: bool) -> dict[str, Any]:
    """The configuration as the protocol shows it. Raises `RegistryError` when a subject has none itself."""
    found = (
        await settings_above(session, subject)
        if default_to_global
        else [one for one in [await settings_of(session, subject)] if one is not None]
    )
    for one in found:
        if one.level is not None or one.others:
            level = one.level or (await configuration_of(session, subject)).level.value
            return {"compatibilityLevel": level, **one.others}
    if not subject or default_to_global:
        return {"compatibilityLevel": Level.BACKWARD.value}
    raise RegistryError(
        Code.SUBJECT_LEVEL_NOT_CONFIGURED,
        f"Subject '{subject}' does not have subject-level compatibility configured",
    )


async def mode(session: ReadSession, subject: str, *, default_to_global: bool) -> Mode:
    found = await settings_of(session, subject)
    if not subject or default_to_global or (found is not None and found.mode is not None):
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


async def export(session: ReadSession) -> Export:
    """Everything the registry holds."""
    rows = await session.scalars(select(Setting).order_by(Setting.subject))
    settings = [
        MovedSetting(subject=row.subject, level=row.level, mode=row.mode, others=row.others)
        for row in rows
        if row.level or row.mode or row.others
    ]
    found = await schemas(session, EVERY, Listing(deleted=True))
    return Export(settings=settings, versions=[MovedVersion.model_validate(one.as_json()) for one in found])
