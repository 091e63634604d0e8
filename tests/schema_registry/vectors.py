"""Vectors of compatibility: for every draft, what a change is called and whether it may pass.

The verdict stands here in words of its own, not taken from the table under test: a rule that changes its mind
fails its vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schema_registry.domain.documents import Dialect

Schema = dict[str, Any]

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
ARRAY, OBJECT = {"type": "array"}, {"type": "object"}
SINCE_2020 = Dialect.DRAFT_2020_12
SINCE_2019 = (Dialect.DRAFT_2019_09, Dialect.DRAFT_2020_12)


@dataclass(frozen=True)
class Vector:
    dialect: Dialect
    rule: str
    """The kind of difference that the vector is about."""
    original: Any
    update: Any
    passes: bool
    name: str = ""

    @property
    def id(self) -> str:
        return f"{self.dialect.name.lower()}-{self.rule.lower()}{'-' if self.name else ''}{self.name}"


BOUNDS = (
    ("maxLength", "MAX_LENGTH", TEXT, "DECREASED"),
    ("minLength", "MIN_LENGTH", TEXT, "INCREASED"),
    ("maximum", "MAXIMUM", NUMBER, "DECREASED"),
    ("minimum", "MINIMUM", NUMBER, "INCREASED"),
    ("maxProperties", "MAX_PROPERTIES", OBJECT, "DECREASED"),
    ("minProperties", "MIN_PROPERTIES", OBJECT, "INCREASED"),
    ("maxItems", "MAX_ITEMS", ARRAY, "DECREASED"),
    ("minItems", "MIN_ITEMS", ARRAY, "INCREASED"),
)
EXCLUSIVE = (
    ("exclusiveMaximum", "EXCLUSIVE_MAXIMUM", NUMBER, "DECREASED"),
    ("exclusiveMinimum", "EXCLUSIVE_MINIMUM", NUMBER, "INCREASED"),
)


def vectors() -> list[Vector]:
    return [vector for dialect in Dialect for vector in _of(dialect)]


def _of(dialect: Dialect) -> Iterator[Vector]:
    def vector(rule: str, original: Any, update: Any, passes: int, name: str = "") -> Vector:
        return Vector(dialect, rule, _in(dialect, original), _in(dialect, update), bool(passes), name)

    yield from (vector(*row) for row in _bounds(dialect))
    yield from (vector(*row) for row in _scalars())
    yield from (vector(*row) for row in _properties())
    yield from (vector(*row) for row in _dependencies(dialect))
    yield from (vector(*row) for row in _items(dialect))
    yield from (vector(*row) for row in _combined())
    yield from (vector(*row) for row in _words(dialect))


Row = tuple[str, Any, Any, int] | tuple[str, Any, Any, int, str]


def _bounds(dialect: Dialect) -> Iterator[Row]:
    numeric = BOUNDS if dialect is Dialect.DRAFT_4 else BOUNDS + EXCLUSIVE
    for keyword, name, base, tighter in numeric:
        low, high = base | {keyword: 2}, base | {keyword: 5}
        yield f"{name}_ADDED", base, low, 0
        yield f"{name}_REMOVED", low, base, 1
        yield f"{name}_INCREASED", low, high, tighter != "INCREASED"
        yield f"{name}_DECREASED", high, low, tighter != "DECREASED"
    if dialect is Dialect.DRAFT_4:
        for keyword, name in (("maximum", "EXCLUSIVE_MAXIMUM"), ("minimum", "EXCLUSIVE_MINIMUM")):
            plain = NUMBER | {keyword: 3}
            exclusive = plain | {f"exclusive{keyword.capitalize()}": True}
            yield f"{name}_ADDED", plain, exclusive, 0
            yield f"{name}_REMOVED", exclusive, plain, 1


def _scalars() -> Iterator[Row]:
    yield "PATTERN_ADDED", TEXT, TEXT | {"pattern": "a"}, 0
    yield "PATTERN_REMOVED", TEXT | {"pattern": "a"}, TEXT, 1
    yield "PATTERN_CHANGED", TEXT | {"pattern": "a"}, TEXT | {"pattern": "b"}, 0
    yield "MULTIPLE_OF_ADDED", WHOLE, WHOLE | {"multipleOf": 2}, 0
    yield "MULTIPLE_OF_REMOVED", WHOLE | {"multipleOf": 2}, WHOLE, 1
    yield "MULTIPLE_OF_REDUCED", WHOLE | {"multipleOf": 6}, WHOLE | {"multipleOf": 3}, 1
    yield "MULTIPLE_OF_EXPANDED", WHOLE | {"multipleOf": 3}, WHOLE | {"multipleOf": 6}, 0
    yield "MULTIPLE_OF_CHANGED", WHOLE | {"multipleOf": 4}, WHOLE | {"multipleOf": 6}, 0
    yield "ENUM_ARRAY_EXTENDED", {"enum": ["a"]}, {"enum": ["a", "b"]}, 1
    yield "ENUM_ARRAY_NARROWED", {"enum": ["a", "b"]}, {"enum": ["a"]}, 0
    yield "ENUM_ARRAY_CHANGED", {"enum": ["a"]}, {"enum": ["b"]}, 0
    yield "TYPE_EXTENDED", WHOLE, NUMBER, 1
    yield "TYPE_NARROWED", NUMBER, WHOLE, 0
    yield "TYPE_CHANGED", TEXT, WHOLE, 0
    yield "SUM_TYPE_EXTENDED", {"type": ["string"]}, {"type": ["string", "null"]}, 1, "types"


def _properties() -> Iterator[Row]:
    def opened(*required: str, **properties: Any) -> Schema:
        found = OBJECT | {"properties": properties}
        return found | {"required": list(required)} if required else found

    def closed(*required: str, **properties: Any) -> Schema:
        return opened(*required, **properties) | {"additionalProperties": False}

    def partly(rest: Schema, **properties: Any) -> Schema:
        return opened(**properties) | {"additionalProperties": rest}

    default = TEXT | {"default": "x"}
    yield "REQUIRED_ATTRIBUTE_ADDED", opened(a=TEXT), opened("a", a=TEXT), 0
    yield "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED", opened(a=default), opened("a", a=default), 1
    yield "REQUIRED_ATTRIBUTE_REMOVED", opened("a", a=TEXT), opened(a=TEXT), 1
    yield "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", opened(), opened(a=TEXT), 0
    yield "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", opened(), opened("a", a=TEXT), 0
    yield (
        "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
        opened(),
        opened("a", a=default),
        0,
    )
    yield "PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL", opened(), opened(a={}), 1
    yield "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", closed(), closed(a=TEXT), 1
    yield "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", closed(), closed("a", a=TEXT), 0
    yield (
        "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL",
        closed(),
        closed("a", a=default),
        1,
    )
    yield "PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL", opened(a=TEXT), opened(), 1
    yield "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", closed(a=TEXT), closed(), 0
    never: dict[str, object] = {"not": {}}
    yield "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", closed(a=TEXT, b=never), closed(b=never), 0, "beside"
    yield (
        "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        partly(WHOLE),
        partly(WHOLE, a=NUMBER),
        1,
    )
    yield (
        "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        partly(NUMBER),
        partly(NUMBER, a=WHOLE),
        0,
    )
    yield (
        "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        partly(NUMBER, a=WHOLE),
        partly(NUMBER),
        1,
    )
    yield (
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        partly(WHOLE, a=NUMBER),
        partly(WHOLE),
        0,
    )
    yield "ADDITIONAL_PROPERTIES_REMOVED", opened(), closed(), 0
    yield "ADDITIONAL_PROPERTIES_ADDED", closed(), opened(), 1
    yield "ADDITIONAL_PROPERTIES_NARROWED", opened(), partly(TEXT), 0
    yield "ADDITIONAL_PROPERTIES_EXTENDED", partly(TEXT), opened(), 1
    yield "PATTERN_PROPERTY_ADDED", closed(), closed() | {"patternProperties": {"^a": TEXT}}, 0
    yield (
        "PATTERN_PROPERTY_NOT_COVERED",
        partly(NUMBER) | {"patternProperties": {"^a": TEXT}},
        partly(NUMBER),
        0,
    )


def _dependencies(dialect: Dialect) -> Iterator[Row]:
    keyword = "dependentRequired" if dialect in SINCE_2019 else "dependencies"

    def depending(*names: str) -> Schema:
        return OBJECT | {keyword: {"a": list(names)}}

    yield "DEPENDENCY_ARRAY_ADDED", OBJECT, depending("b"), 0
    yield "DEPENDENCY_ARRAY_REMOVED", depending("b"), OBJECT, 1
    yield "DEPENDENCY_ARRAY_EXTENDED", depending("b"), depending("b", "c"), 0
    yield "DEPENDENCY_ARRAY_NARROWED", depending("b", "c"), depending("b"), 1
    yield "DEPENDENCY_ARRAY_CHANGED", depending("b"), depending("c"), 0


def _items(dialect: Dialect) -> Iterator[Row]:
    first, rest = ("prefixItems", "items") if dialect is SINCE_2020 else ("items", "additionalItems")

    def tuple_of(*items: Any, others: Any = None) -> Schema:
        return ARRAY | {first: list(items)} | ({} if others is None else {rest: others})

    one = [TEXT]
    yield "UNIQUE_ITEMS_ADDED", ARRAY, ARRAY | {"uniqueItems": True}, 0
    yield "UNIQUE_ITEMS_REMOVED", ARRAY | {"uniqueItems": True}, ARRAY, 1
    yield "SCHEMA_ADDED", ARRAY, ARRAY | {"items": TEXT}, 0
    yield "SCHEMA_REMOVED", ARRAY | {"items": TEXT}, ARRAY, 1
    yield "TYPE_EXTENDED", ARRAY | {"items": WHOLE}, ARRAY | {"items": NUMBER}, 1, "items"
    yield "TYPE_NARROWED", ARRAY | {"items": NUMBER}, ARRAY | {"items": WHOLE}, 0, "items"
    yield "ADDITIONAL_ITEMS_ADDED", tuple_of(*one, others=False), tuple_of(*one), 1
    yield "ADDITIONAL_ITEMS_REMOVED", tuple_of(*one), tuple_of(*one, others=False), 0
    yield "ADDITIONAL_ITEMS_EXTENDED", tuple_of(*one, others=TEXT), tuple_of(*one), 1
    yield "ADDITIONAL_ITEMS_NARROWED", tuple_of(*one), tuple_of(*one, others=TEXT), 0
    yield "ITEM_ADDED_TO_OPEN_CONTENT_MODEL", tuple_of(TEXT), tuple_of(TEXT, WHOLE), 0
    yield "ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL", tuple_of(TEXT), tuple_of(TEXT, {}), 1
    yield (
        "ITEM_ADDED_TO_CLOSED_CONTENT_MODEL",
        tuple_of(TEXT, others=False),
        tuple_of(TEXT, WHOLE, others=False),
        1,
    )
    yield "ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL", tuple_of(TEXT, WHOLE), tuple_of(TEXT), 1
    yield (
        "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL",
        tuple_of(TEXT, WHOLE, others=False),
        tuple_of(TEXT, others=False),
        0,
    )
    yield (
        "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        tuple_of(TEXT, others=WHOLE),
        tuple_of(TEXT, NUMBER, others=WHOLE),
        1,
    )
    yield (
        "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        tuple_of(TEXT, others=NUMBER),
        tuple_of(TEXT, WHOLE, others=NUMBER),
        0,
    )
    yield (
        "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        tuple_of(TEXT, WHOLE, others=NUMBER),
        tuple_of(TEXT, others=NUMBER),
        1,
    )
    yield (
        "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
        tuple_of(TEXT, NUMBER, others=WHOLE),
        tuple_of(TEXT, others=WHOLE),
        0,
    )
    if dialect is not Dialect.DRAFT_4:
        yield (
            "ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL",
            tuple_of(TEXT, False, others=False),
            tuple_of(TEXT, others=False),
            1,
        )
        yield (
            "PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL",
            OBJECT | {"properties": {"a": False}, "additionalProperties": False},
            OBJECT | {"additionalProperties": False},
            1,
        )


def _combined() -> Iterator[Row]:
    short, long = TEXT | {"maxLength": 5}, TEXT | {"minLength": 2}
    yield "SUM_TYPE_EXTENDED", {"anyOf": [TEXT]}, {"anyOf": [TEXT, WHOLE]}, 1
    yield "SUM_TYPE_NARROWED", {"anyOf": [TEXT, WHOLE, ARRAY]}, {"anyOf": [TEXT, WHOLE]}, 0
    yield "PRODUCT_TYPE_EXTENDED", {"allOf": [short, long]}, {"allOf": [short, long, {"pattern": "a"}]}, 0
    yield "PRODUCT_TYPE_NARROWED", {"allOf": [short, long, {"pattern": "a"}]}, {"allOf": [short, long]}, 1
    yield "COMBINED_TYPE_EXTENDED", {"oneOf": [TEXT, WHOLE]}, {"anyOf": [TEXT, WHOLE]}, 1
    yield "COMBINED_TYPE_CHANGED", {"anyOf": [TEXT, WHOLE]}, {"allOf": [TEXT, WHOLE]}, 0
    yield "COMBINED_TYPE_SUBSCHEMAS_CHANGED", {"anyOf": [TEXT, WHOLE]}, {"anyOf": [TEXT, ARRAY]}, 0
    wider = {"oneOf": [{"minimum": 0, **NUMBER}, TEXT]}
    yield "ONE_OF_MAY_OVERLAP", {"oneOf": [short, WHOLE]}, {"oneOf": [TEXT, WHOLE, long]}, 0
    yield "MINIMUM_REMOVED", wider, {"oneOf": [NUMBER, TEXT]}, 1, "in-one-of"
    yield "NOT_TYPE_EXTENDED", {"not": short}, {"not": TEXT}, 0
    yield "NOT_TYPE_NARROWED", {"not": TEXT}, {"not": short}, 1


def _words(dialect: Dialect) -> Iterator[Row]:
    yield "TITLE_CHANGED", TEXT | {"title": "a"}, TEXT | {"title": "b"}, 1
    yield "DESCRIPTION_CHANGED", TEXT | {"description": "a"}, TEXT | {"description": "b"}, 1
    yield "DEFAULT_CHANGED", TEXT | {"default": "a"}, TEXT | {"default": "b"}, 1
    if dialect is not SINCE_2020:
        name = "id" if dialect is Dialect.DRAFT_4 else "$id"
        yield "ID_CHANGED", TEXT | {name: "urn:a"}, TEXT | {name: "urn:b"}, 1
    if dialect not in {Dialect.DRAFT_4, Dialect.DRAFT_6}:
        condition = {"if": TEXT, "then": {"minLength": 2}}
        yield "KEYWORD_NOT_COMPARED", condition, condition | {"then": {"minLength": 3}}, 0
    deep: Any = TEXT
    for _ in range(90):
        deep = OBJECT | {"properties": {"a": deep}}
    yield "COMPARISON_TOO_COMPLEX", deep, deep | {"title": "x"}, 0


def _in(dialect: Dialect, schema: Any) -> Any:
    return {"$schema": dialect.address} | schema
