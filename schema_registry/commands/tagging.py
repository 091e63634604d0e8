"""Tags of a version are changed by registering the version after it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from schema_registry.commands.guarding import lock_subject
from schema_registry.commands.registering import register
from schema_registry.domain.configuration import merged_metadata, merged_rules, without_rules
from schema_registry.domain.registered import Candidate, Registered
from schema_registry.domain.tags import Retagging
from schema_registry.models import SubjectVersion
from schema_registry.models.lookups import find_version, versions_of
from service_kit.database import Session

VERSION_PROPERTY = "confluent:version"
"""Property of the metadata that says the number of the version, so that no two of them are one schema."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """What the next version has that this one has not."""

    tags: Retagging
    version: int | None = None
    """The number the new version has to get; the next one when it is not said."""
    metadata: dict[str, Any] | None = None
    rule_set: dict[str, Any] | None = None
    rules_to_merge: dict[str, Any] | None = None
    rules_to_remove: tuple[str, ...] = ()


async def tag(session: Session, subject: str, number: int | None, change: TagChange) -> Registered:
    """Register a version that is like this one, latest for None, but for its tags, metadata and rules."""
    await lock_subject(session, subject)
    found = await find_version(session, subject, number)
    highest = await session.scalar(
        select(func.max(SubjectVersion.version)).where(SubjectVersion.subject == subject)
    )
    following = str(change.version or (highest or 0) + 1)
    own = found.metadata if change.metadata is None else change.metadata
    candidate = Candidate(
        text=found.text,
        schema_type=found.schema_type,
        references=found.references,
        metadata=merged_metadata(own, {"properties": {VERSION_PROPERTY: following}}),
        rule_set=await _rules(session, subject, change),
        version=change.version,
        retagging=change.tags,
    )
    return await register(session, subject, candidate)


async def _rules(session: Session, subject: str, change: TagChange) -> dict[str, Any] | None:
    """What was sent, or the rules of the version before with some merged in and some taken out."""
    if change.rules_to_merge is None and not change.rules_to_remove:
        return change.rule_set
    before = (await versions_of(session, subject))[-1].rule_set
    merged = merged_rules(before, change.rules_to_merge)
    return None if merged is None else without_rules(merged, change.rules_to_remove)
