"""The vocabulary of comparison: every kind of difference, whether it is compatible, and its sentence.

Kinds and paths are those of Confluent's registry, whose messages tools and people know. Kinds below
`OWN` are ours: they stand for changes that the original rules overlook and that would let old data fail.
"""

from dataclasses import dataclass
from enum import StrEnum, auto


class _Name(StrEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        del start, count, last_values
        return name


class Kind(_Name):
    """One kind of difference between an original schema and its update."""

    ID_CHANGED = auto()
    TITLE_CHANGED = auto()
    DESCRIPTION_CHANGED = auto()
    DEFAULT_CHANGED = auto()
    SCHEMA_ADDED = auto()
    SCHEMA_REMOVED = auto()
    TYPE_EXTENDED = auto()
    TYPE_NARROWED = auto()
    TYPE_CHANGED = auto()

    MAX_LENGTH_ADDED = auto()
    MAX_LENGTH_REMOVED = auto()
    MAX_LENGTH_INCREASED = auto()
    MAX_LENGTH_DECREASED = auto()
    MIN_LENGTH_ADDED = auto()
    MIN_LENGTH_REMOVED = auto()
    MIN_LENGTH_INCREASED = auto()
    MIN_LENGTH_DECREASED = auto()
    PATTERN_ADDED = auto()
    PATTERN_REMOVED = auto()
    PATTERN_CHANGED = auto()

    MAXIMUM_ADDED = auto()
    MAXIMUM_REMOVED = auto()
    MAXIMUM_INCREASED = auto()
    MAXIMUM_DECREASED = auto()
    MINIMUM_ADDED = auto()
    MINIMUM_REMOVED = auto()
    MINIMUM_INCREASED = auto()
    MINIMUM_DECREASED = auto()
    EXCLUSIVE_MAXIMUM_ADDED = auto()
    EXCLUSIVE_MAXIMUM_REMOVED = auto()
    EXCLUSIVE_MAXIMUM_INCREASED = auto()
    EXCLUSIVE_MAXIMUM_DECREASED = auto()
    EXCLUSIVE_MINIMUM_ADDED = auto()
    EXCLUSIVE_MINIMUM_REMOVED = auto()
    EXCLUSIVE_MINIMUM_INCREASED = auto()
    EXCLUSIVE_MINIMUM_DECREASED = auto()
    MULTIPLE_OF_ADDED = auto()
    MULTIPLE_OF_REMOVED = auto()
    MULTIPLE_OF_EXPANDED = auto()
    MULTIPLE_OF_REDUCED = auto()
    MULTIPLE_OF_CHANGED = auto()

    REQUIRED_ATTRIBUTE_ADDED = auto()
    REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED = auto()
    REQUIRED_ATTRIBUTE_REMOVED = auto()
    MAX_PROPERTIES_ADDED = auto()
    MAX_PROPERTIES_REMOVED = auto()
    MAX_PROPERTIES_INCREASED = auto()
    MAX_PROPERTIES_DECREASED = auto()
    MIN_PROPERTIES_ADDED = auto()
    MIN_PROPERTIES_REMOVED = auto()
    MIN_PROPERTIES_INCREASED = auto()
    MIN_PROPERTIES_DECREASED = auto()
    ADDITIONAL_PROPERTIES_ADDED = auto()
    ADDITIONAL_PROPERTIES_REMOVED = auto()
    ADDITIONAL_PROPERTIES_EXTENDED = auto()
    ADDITIONAL_PROPERTIES_NARROWED = auto()
    DEPENDENCY_ARRAY_ADDED = auto()
    DEPENDENCY_ARRAY_REMOVED = auto()
    DEPENDENCY_ARRAY_EXTENDED = auto()
    DEPENDENCY_ARRAY_NARROWED = auto()
    DEPENDENCY_ARRAY_CHANGED = auto()
    REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL = auto()
    REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL = auto()
    OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL = auto()
    PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL = auto()
    PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL = auto()
    PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL = auto()
    PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()

    MAX_ITEMS_ADDED = auto()
    MAX_ITEMS_REMOVED = auto()
    MAX_ITEMS_INCREASED = auto()
    MAX_ITEMS_DECREASED = auto()
    MIN_ITEMS_ADDED = auto()
    MIN_ITEMS_REMOVED = auto()
    MIN_ITEMS_INCREASED = auto()
    MIN_ITEMS_DECREASED = auto()
    UNIQUE_ITEMS_ADDED = auto()
    UNIQUE_ITEMS_REMOVED = auto()
    ADDITIONAL_ITEMS_ADDED = auto()
    ADDITIONAL_ITEMS_REMOVED = auto()
    ADDITIONAL_ITEMS_EXTENDED = auto()
    ADDITIONAL_ITEMS_NARROWED = auto()
    ITEM_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL = auto()
    ITEM_ADDED_TO_CLOSED_CONTENT_MODEL = auto()
    ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL = auto()
    ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL = auto()
    ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL = auto()
    ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()
    ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL = auto()

    ENUM_ARRAY_EXTENDED = auto()
    ENUM_ARRAY_NARROWED = auto()
    ENUM_ARRAY_CHANGED = auto()

    COMBINED_TYPE_EXTENDED = auto()
    COMBINED_TYPE_CHANGED = auto()
    PRODUCT_TYPE_EXTENDED = auto()
    PRODUCT_TYPE_NARROWED = auto()
    SUM_TYPE_EXTENDED = auto()
    SUM_TYPE_NARROWED = auto()
    COMBINED_TYPE_SUBSCHEMAS_CHANGED = auto()
    NOT_TYPE_EXTENDED = auto()
    NOT_TYPE_NARROWED = auto()

    RESERVED_PROPERTY_REMOVED = auto()
    RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY = auto()

    # OWN
    KEYWORD_NOT_COMPARED = auto()
    """A keyword differs that no rule compares: refused rather than guessed."""
    ONE_OF_MAY_OVERLAP = auto()
    """Alternatives of `oneOf` changed and may now hold at once, which would refuse data that was fine."""
    PATTERN_PROPERTY_ADDED = auto()
    PATTERN_PROPERTY_NOT_COVERED = auto()
    COMPARISON_TOO_COMPLEX = auto()


COMPATIBLE = frozenset(
    {
        Kind.ID_CHANGED,
        Kind.TITLE_CHANGED,
        Kind.DESCRIPTION_CHANGED,
        Kind.DEFAULT_CHANGED,
        Kind.SCHEMA_REMOVED,
        Kind.TYPE_EXTENDED,
        Kind.MAX_LENGTH_INCREASED,
        Kind.MAX_LENGTH_REMOVED,
        Kind.MIN_LENGTH_DECREASED,
        Kind.MIN_LENGTH_REMOVED,
        Kind.PATTERN_REMOVED,
        Kind.MAXIMUM_INCREASED,
        Kind.MAXIMUM_REMOVED,
        Kind.MINIMUM_DECREASED,
        Kind.MINIMUM_REMOVED,
        Kind.EXCLUSIVE_MAXIMUM_INCREASED,
        Kind.EXCLUSIVE_MAXIMUM_REMOVED,
        Kind.EXCLUSIVE_MINIMUM_DECREASED,
        Kind.EXCLUSIVE_MINIMUM_REMOVED,
        Kind.MULTIPLE_OF_REDUCED,
        Kind.MULTIPLE_OF_REMOVED,
        Kind.REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED,
        Kind.REQUIRED_ATTRIBUTE_REMOVED,
        Kind.DEPENDENCY_ARRAY_NARROWED,
        Kind.DEPENDENCY_ARRAY_REMOVED,
        Kind.MAX_PROPERTIES_INCREASED,
        Kind.MAX_PROPERTIES_REMOVED,
        Kind.MIN_PROPERTIES_DECREASED,
        Kind.MIN_PROPERTIES_REMOVED,
        Kind.ADDITIONAL_PROPERTIES_ADDED,
        Kind.ADDITIONAL_PROPERTIES_EXTENDED,
        Kind.PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL,
        Kind.REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL,
        Kind.OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL,
        Kind.PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL,
        Kind.PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL,
        Kind.PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        Kind.PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        Kind.MAX_ITEMS_INCREASED,
        Kind.MAX_ITEMS_REMOVED,
        Kind.MIN_ITEMS_DECREASED,
        Kind.MIN_ITEMS_REMOVED,
        Kind.UNIQUE_ITEMS_REMOVED,
        Kind.ADDITIONAL_ITEMS_ADDED,
        Kind.ADDITIONAL_ITEMS_EXTENDED,
        Kind.ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL,
        Kind.ITEM_ADDED_TO_CLOSED_CONTENT_MODEL,
        Kind.ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL,
        Kind.ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL,
        Kind.ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        Kind.ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        Kind.ENUM_ARRAY_EXTENDED,
        Kind.COMBINED_TYPE_EXTENDED,
        Kind.PRODUCT_TYPE_NARROWED,
        Kind.SUM_TYPE_EXTENDED,
        Kind.NOT_TYPE_NARROWED,
    }
)
"""Differences after which everything that was valid stays valid.

Two are so by agreement only: a property that became required but has a default is taken to be filled in by
its reader.
"""


LENIENTLY_COMPATIBLE = frozenset(
    {
        Kind.ADDITIONAL_PROPERTIES_NARROWED,
        Kind.ADDITIONAL_PROPERTIES_REMOVED,
        Kind.OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL,
        Kind.REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL,
        Kind.PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL,
        Kind.PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        Kind.PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    }
)
"""What passes as well where a subject is configured to be LENIENT.

Data that names such a property by chance would fail; whoever chooses this says that there is none.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference and where it is, as `#/properties/title`."""

    kind: Kind
    path: str
    lenient: bool = False
    """Whether it was found by a comparison that lets more pass."""

    @property
    def compatible(self) -> bool:
        return self.kind in COMPATIBLE or (self.lenient and self.kind in LENIENTLY_COMPATIBLE)

    def sentence(self, update: str, original: str) -> str:
        """What is wrong, in words; the arguments name the two schemas, for instance "new" and "old"."""
        for kinds, words in _SENTENCES:
            if self.kind in kinds:
                return words.format(path=self.path, update=update, original=original)
        words = self.kind.lower().replace("_", " ")
        return f"At path '{self.path}' between the {update} and the {original} schema: {words}"

    def message(self, update: str, original: str) -> str:
        """The line that clients show in a verbose answer."""
        return f'{{errorType:"{self.kind}", description:"{self.sentence(update, original)}"}}'


def _ending(*ends: str) -> frozenset[Kind]:
    return frozenset(kind for kind in Kind if kind not in COMPATIBLE and kind.endswith(ends))


_SENTENCES: tuple[tuple[frozenset[Kind], str], ...] = (
    (
        frozenset({Kind.RESERVED_PROPERTY_REMOVED}),
        (
            "The {update} schema has reserved property '{path}' removed from its metadata "
            "which is present in the {original} schema."
        ),
    ),
    (
        frozenset({Kind.RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY}),
        (
            "The {update} schema has property at path '{path}' that conflicts with the reserved properties "
            "which is missing in the {original} schema."
        ),
    ),
    (
        frozenset({Kind.REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL}),
        (
            "The {update} schema has an unopen content model and has a required property at path '{path}' "
            "which is missing in the {original} schema"
        ),
    ),
    (
        _ending("ADDED_TO_OPEN_CONTENT_MODEL"),
        (
            "The {update} schema has an open content model and has a property or item at path '{path}' "
            "which is missing in the {original} schema"
        ),
    ),
    (
        _ending("REMOVED_FROM_CLOSED_CONTENT_MODEL"),
        (
            "The {update} schema has a closed content model and is missing a property or item present "
            "at path '{path}' in the {original} schema"
        ),
    ),
    (
        _ending("REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"),
        (
            "A property or item is missing in the {update} schema but present at path '{path}' "
            "in the {original} schema and is not covered by its partially open content model"
        ),
    ),
    (
        _ending("ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"),
        (
            "The {update} schema has a property or item at path '{path}' which is missing "
            "in the {original} schema and is not covered by its partially open content model"
        ),
    ),
    (
        frozenset({Kind.KEYWORD_NOT_COMPARED}),
        (
            "The keyword at path '{path}' differs between the {update} and the {original} schema, "
            "and this registry has no rule that could call the change safe"
        ),
    ),
    (
        frozenset({Kind.ONE_OF_MAY_OVERLAP}),
        (
            "The alternatives at path '{path}' changed in the {update} schema and may hold at once for data "
            "that is valid in the {original} schema"
        ),
    ),
    (
        frozenset({Kind.PATTERN_PROPERTY_ADDED}),
        (
            "The pattern at path '{path}' in the {update} schema restricts properties that are free "
            "in the {original} schema"
        ),
    ),
    (
        frozenset({Kind.PATTERN_PROPERTY_NOT_COVERED}),
        (
            "The properties of the pattern at path '{path}' in the {original} schema are not all allowed "
            "in the {update} schema"
        ),
    ),
    (
        frozenset({Kind.COMPARISON_TOO_COMPLEX}),
        (
            "The {update} and the {original} schema are too large, deep or entangled to be compared "
            "(at path '{path}')"
        ),
    ),
    (
        frozenset({Kind.ADDITIONAL_PROPERTIES_REMOVED, Kind.ADDITIONAL_ITEMS_REMOVED, Kind.SCHEMA_ADDED})
        | _ending("_ADDED"),
        "The keyword at path '{path}' in the {update} schema is not present in the {original} schema",
    ),
    (
        frozenset({Kind.TYPE_NARROWED, Kind.TYPE_CHANGED, Kind.COMBINED_TYPE_CHANGED})
        | frozenset({Kind.COMBINED_TYPE_SUBSCHEMAS_CHANGED, Kind.ENUM_ARRAY_CHANGED}),
        "A type at path '{path}' is different between the {update} schema and the {original} schema",
    ),
    (
        _ending("_NARROWED"),
        (
            "An array or combined type at path '{path}' has fewer elements in the {update} schema "
            "than the {original} schema"
        ),
    ),
    (
        _ending("TYPE_EXTENDED", "ARRAY_EXTENDED"),
        (
            "An array or combined type at path '{path}' has more elements in the {update} schema "
            "than the {original} schema"
        ),
    ),
    (
        _ending("_INCREASED", "_EXPANDED"),
        "The value at path '{path}' in the {update} schema is more than its value in the {original} schema",
    ),
    (
        _ending("_DECREASED"),
        "The value at path '{path}' in the {update} schema is less than its value in the {original} schema",
    ),
    (
        _ending("_CHANGED"),
        "The value at path '{path}' is different between the {update} and {original} schema",
    ),
)
