"""The vocabulary of comparing Protobuf schemas: kinds of differences, whether each is compatible, its words.

Kinds and paths are those of Confluent's registry; a field stands in a path by its number, as on the wire.
"""

from dataclasses import dataclass
from enum import StrEnum, auto


class _Name(StrEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        del start, count, last_values
        return name


class ProtobufKind(_Name):
    """One kind of difference between an original schema and its update."""

    PACKAGE_CHANGED = auto()
    MESSAGE_ADDED = auto()
    MESSAGE_REMOVED = auto()
    MESSAGE_MOVED = auto()
    ENUM_ADDED = auto()
    ENUM_REMOVED = auto()
    ENUM_CONST_ADDED = auto()
    ENUM_CONST_CHANGED = auto()
    ENUM_CONST_REMOVED = auto()
    FIELD_ADDED = auto()
    FIELD_REMOVED = auto()
    FIELD_NAME_CHANGED = auto()
    FIELD_KIND_CHANGED = auto()
    FIELD_SCALAR_KIND_CHANGED = auto()
    FIELD_NAMED_TYPE_CHANGED = auto()
    FIELD_NUMERIC_LABEL_CHANGED = auto()
    FIELD_STRING_OR_BYTES_LABEL_CHANGED = auto()
    REQUIRED_FIELD_ADDED = auto()
    REQUIRED_FIELD_REMOVED = auto()
    ONEOF_ADDED = auto()
    ONEOF_REMOVED = auto()
    ONEOF_FIELD_ADDED = auto()
    ONEOF_FIELD_REMOVED = auto()
    ONEOF_FIELD_MOVED_TO_TOP_LEVEL = auto()
    MULTIPLE_FIELDS_MOVED_TO_ONEOF = auto()
    FIELD_MOVED_TO_EXISTING_ONEOF = auto()


K = ProtobufKind

COMPATIBLE = frozenset(
    {
        K.MESSAGE_ADDED,
        K.MESSAGE_MOVED,
        K.ENUM_ADDED,
        K.ENUM_REMOVED,
        K.ENUM_CONST_ADDED,
        K.ENUM_CONST_CHANGED,
        K.ENUM_CONST_REMOVED,
        K.FIELD_ADDED,
        K.FIELD_REMOVED,
        K.FIELD_NAME_CHANGED,
        K.FIELD_STRING_OR_BYTES_LABEL_CHANGED,
        K.ONEOF_ADDED,
        K.ONEOF_REMOVED,
        K.ONEOF_FIELD_ADDED,
        K.ONEOF_FIELD_MOVED_TO_TOP_LEVEL,
    }
)
"""Differences after which readers of the update still understand records of the original."""

_SENTENCES = {
    K.PACKAGE_CHANGED: "The package of the {update} schema is another one than that of the {original} schema",
    K.MESSAGE_REMOVED: "The {update} schema is missing the message at path '{path}' of the {original} schema",
    K.FIELD_KIND_CHANGED: (
        "The field at path '{path}' is of another kind in the {update} schema than in the {original} schema: "
        "a scalar, a message, a map or a group"
    ),
    K.FIELD_SCALAR_KIND_CHANGED: (
        "The scalar type of the field at path '{path}' in the {update} schema does not read what the "
        "{original} schema writes"
    ),
    K.FIELD_NAMED_TYPE_CHANGED: (
        "The field at path '{path}' has a message of another name in the {update} schema than in the "
        "{original} schema"
    ),
    K.FIELD_NUMERIC_LABEL_CHANGED: (
        "The number at path '{path}' is repeated in one of the {update} and the {original} schema alone, "
        "and the two are written differently"
    ),
    K.REQUIRED_FIELD_ADDED: (
        "The field at path '{path}' is required in the {update} schema and not in the {original} schema"
    ),
    K.REQUIRED_FIELD_REMOVED: (
        "The {update} schema is missing the required field at path '{path}' of the {original} schema"
    ),
    K.ONEOF_FIELD_REMOVED: (
        "The oneof of the {update} schema is missing the field at path '{path}' of the {original} schema"
    ),
    K.MULTIPLE_FIELDS_MOVED_TO_ONEOF: (
        "The oneof at path '{path}' in the {update} schema holds several fields that could stand together in "
        "the {original} schema"
    ),
    K.FIELD_MOVED_TO_EXISTING_ONEOF: (
        "The oneof at path '{path}' in the {update} schema holds fields of a oneof together with another one "
        "that could stand beside them in the {original} schema"
    ),
}


@dataclass(frozen=True, slots=True)
class ProtobufDifference:
    """One difference and where it is, as `#/Task/2`."""

    kind: ProtobufKind
    path: str

    @property
    def compatible(self) -> bool:
        return self.kind in COMPATIBLE

    def message(self, update: str, original: str) -> str:
        """The line that clients show in a verbose answer."""
        words = _SENTENCES.get(
            self.kind,
            "At path '{path}' between the {update} and the {original} schema: "
            + self.kind.lower().replace("_", " "),
        )
        sentence = words.format(path=self.path, update=update, original=original)
        return f'{{errorType:"{self.kind}", description:"{sentence}"}}'
