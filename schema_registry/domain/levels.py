"""The seven levels of compatibility: which earlier versions a new one must get along with, and how."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from schema_registry.domain.comparison import differences
from schema_registry.domain.documents import Document


class Level(StrEnum):
    """A promise of a subject to those who write and read its events."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        """Readers with the new schema understand data written with an earlier one."""
        return self.value.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        """Readers with an earlier schema understand data written with the new one."""
        return self.value.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        """All earlier versions count, not only the latest."""
        return self.value.endswith("TRANSITIVE")


class Mode(StrEnum):
    """What may be done to a subject."""

    READWRITE = "READWRITE"
    READONLY = "READONLY"
    READONLY_OVERRIDE = "READONLY_OVERRIDE"
    IMPORT = "IMPORT"
    FORWARD = "FORWARD"

    @property
    def refuses_writing(self) -> bool:
        return self in {Mode.READONLY, Mode.READONLY_OVERRIDE, Mode.FORWARD}


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version that is registered already."""

    version: int
    document: Document


def incompatibilities(level: Level, new: Document, earlier: Iterable[Earlier]) -> list[str]:
    """Why `new` must not follow the earlier versions, for people; nothing when it may.

    The earlier versions come in their order; without a transitive level only the last one counts.
    """
    known = sorted(earlier, key=lambda one: one.version, reverse=True)
    for one in known if level.transitive else known[:1]:
        found = _against(level, new, one)
        if found:
            return [
                *found,
                f"{{oldSchemaVersion: {one.version}}}",
                f"{{oldSchema: '{one.document.text}'}}",
                f"{{validateFields: 'false', compatibility: '{level}'}}",
            ]
    return []


def _against(level: Level, new: Document, one: Earlier) -> list[str]:
    found = []
    if level.backward:
        found += [d.message("new", "old") for d in differences(one.document, new) if not d.compatible]
    if level.forward:
        found += [d.message("old", "new") for d in differences(new, one.document) if not d.compatible]
    return found
