"""Locks and refusals that the commands share.

Registrations of one subject wait for each other; deletions and settings wait for everybody, because they
take away what a registration may just be building on.
"""

from sqlalchemy import select, text

from schema_registry.domain.contexts import context_of
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.models import SubjectVersion
from schema_registry.models.lookups import mode_of
from service_kit.database import Session, lock_key

ALL_SUBJECTS = "registry: all subjects"


async def lock_subject(session: Session, subject: str) -> None:
    await session.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": lock_key(ALL_SUBJECTS)})
    await session.execute(
        text("select pg_advisory_xact_lock(:key)"), {"key": lock_key(f"registry: {subject}")}
    )


async def lock_everything(session: Session) -> None:
    await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock_key(ALL_SUBJECTS)})


async def refuse_read_only(session: Session, subject: str) -> None:
    if (await mode_of(session, subject)).refuses_writing:
        raise RegistryError(Code.OPERATION_NOT_PERMITTED, f"Subject {subject} is in read-only mode")


async def has_versions(session: Session, subject: str) -> bool:
    """Whether a subject has any, or, for the name of a context, any of its subjects."""
    statement = select(SubjectVersion.version).limit(1)
    if subject and not subject.endswith(":"):
        statement = statement.where(SubjectVersion.subject == subject)
    else:
        statement = statement.where(SubjectVersion.context == context_of(subject))
    return await session.scalar(statement) is not None
