"""Deleting: softly first, for good after that, and never what another schema references."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select, update

from schema_registry.commands.guarding import has_versions, lock_everything, refuse_read_only
from schema_registry.domain import errors
from schema_registry.domain.contexts import DEFAULT, context_of, name_in
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.registered import Registered
from schema_registry.models import Schema, Setting, SubjectVersion
from schema_registry.models.lookups import SAME_SCHEMA, versions_of
from service_kit.database import Session


async def delete_subject(session: Session, subject: str, *, permanent: bool) -> list[int]:
    """Delete every version of a subject, softly, and permanently only after that. Answers their numbers."""
    await lock_everything(session)
    found = await versions_of(session, subject, deleted=True)
    if not found:
        raise errors.subject_not_found(subject)
    await refuse_read_only(session, subject)
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
    await lock_everything(session)
    one = await _version_to_delete(session, subject, number)
    await refuse_read_only(session, subject)
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


async def delete_context(session: Session, context: str) -> None:
    """Forget the settings of a context that has no subjects left."""
    await lock_everything(session)
    name = name_in(context, "")
    if context == DEFAULT or await has_versions(session, name):
        raise RegistryError(Code.CONTEXT_NOT_EMPTY, f"The specified context '{context}' is not empty.")
    await session.execute(delete(Setting).where(Setting.subject.startswith(name, autoescape=True)))


async def _version_to_delete(session: Session, subject: str, number: int | None) -> Registered:
    found = await versions_of(session, subject, deleted=True)
    live = [one for one in found if not one.deleted]
    if not found:
        raise errors.subject_not_found(subject)
    if number is None:
        return live[-1] if live else found[-1]
    for one in found:
        if one.version == number:
            return one
    raise errors.version_not_found(number)


async def _refuse_referenced(session: Session, one: Registered) -> None:
    wanted = [{"subject": one.subject, "version": one.version}]
    referenced = await session.scalar(select(exists().where(Schema.references.contains(wanted), SAME_SCHEMA)))
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
        in_use = exists().where(SAME_SCHEMA)
        ids = {one.id for one in found}
        context = context_of(found[0].subject)
        await session.execute(delete(Schema).where(Schema.context == context, Schema.id.in_(ids), ~in_use))
