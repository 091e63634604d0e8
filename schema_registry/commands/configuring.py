"""Settings: levels and whatever else is configured, and modes."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from schema_registry.commands.guarding import has_versions, lock_everything
from schema_registry.domain import errors
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Level, Mode
from schema_registry.models import Setting
from service_kit.database import Session


async def configure(
    session: Session,
    subject: str,
    level: Level | None,
    others: dict[str, Any],
    cleared: frozenset[str] = frozenset(),
) -> None:
    """Set the level of a subject, a context or everything; fields that were not sent stay as they are."""
    await lock_everything(session)
    await session.execute(insert(Setting).values(subject=subject).on_conflict_do_nothing())
    found = (await session.scalars(select(Setting).where(Setting.subject == subject))).one()
    if level is not None:
        found.level = level.value
    elif "compatibility" in cleared:
        found.level = None
    kept = {name: value for name, value in found.others.items() if name not in cleared}
    found.others = kept | others
    await session.flush()


async def forget_configuration(session: Session, subject: str) -> dict[str, Any]:
    """Let what is set above hold again; answers what held, as the protocol shows it."""
    await lock_everything(session)
    found = await session.get(Setting, subject)
    if found is None or (found.level is None and not found.others):
        if subject:
            raise errors.subject_not_found(subject)
        return {"compatibilityLevel": Level.BACKWARD.value}
    held: dict[str, Any] = {} if found.level is None else {"compatibilityLevel": found.level}
    held |= found.others
    found.level, found.others = None, {}
    return held


async def set_mode(session: Session, subject: str, mode: Mode, *, force: bool) -> None:
    """Set what may be done. Ids can be chosen only where there are none yet."""
    await lock_everything(session)
    if mode is Mode.IMPORT and not force and await has_versions(session, subject):
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


async def forget_mode(session: Session, subject: str, *, recursive: bool = False) -> Mode:
    """Let the mode above hold again; with `recursive` also for everything whose name begins like this."""
    await lock_everything(session)
    found = await session.get(Setting, subject)
    if recursive:
        below = Setting.subject.startswith(subject, autoescape=True)
        await session.execute(update(Setting).where(below, Setting.subject != subject).values(mode=None))
    if found is None or found.mode is None:
        if subject and not recursive:
            raise errors.subject_not_found(subject)
        return Mode.READWRITE
    mode = Mode(found.mode)
    found.mode = None
    return mode
