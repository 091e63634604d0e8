"""What may change from one schema to the next: one case for each rule, with its kind and its path."""

import json
from typing import Any

import pytest

from schema_registry.domain.comparison import differences
from schema_registry.domain.differences import COMPATIBLE, Difference, Kind
from schema_registry.domain.documents import Dialect, read_document
from schema_registry.domain.matching import maximum_matching

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
NEWEST = {"$schema": Dialect.DRAFT_2020_12.address}


def found(original: Any, update: Any) -> list[str]:
    documents = [read_document(json.dumps(schema)) for schema in (original, update)]
    return [f"{d.kind} {d.path}" for d in differences(*documents)]


def compatible(original: Any, update: Any) -> bool:
    documents = [read_document(json.dumps(schema)) for schema in (original, update)]
    return all(d.compatible for d in differences(*documents))


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def opened(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def of(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return schema | more


def marked(kind: str, **more: Any) -> dict[str, Any]:
    """An alternative that tells itself apart by a required constant."""
    return opened(kind={"const": kind}, **more) | {"required": ["kind"]}


CASES: list[tuple[str, Any, Any, list[str]]] = [
    # words
    ("title", of(TEXT, title="a"), of(TEXT, title="b"), ["TITLE_CHANGED #/"]),
    ("description", of(TEXT, description="a"), TEXT, ["DESCRIPTION_CHANGED #/"]),
    ("default", of(TEXT, default="a"), of(TEXT, default="b"), ["DEFAULT_CHANGED #/"]),
    ("format is an annotation", of(TEXT, format="uuid"), of(TEXT, format="date"), []),
    ("unknown keywords say nothing", of(TEXT, **{"x-a": 1}), of(TEXT, **{"x-a": 2}), []),
    # types
    ("everything fits the empty schema", TEXT, {}, []),
    ("everything fits true", TEXT, True, []),
    ("nothing fits anything", False, TEXT, []),
    ("true is not false", True, False, ["TYPE_CHANGED #/"]),
    ("anything is not a string", {}, TEXT, ["TYPE_CHANGED #/"]),
    ("another type", {"type": "object"}, {"type": "array"}, ["TYPE_CHANGED #/"]),
    ("integer to number", WHOLE, NUMBER, ["TYPE_EXTENDED #/"]),
    ("number to integer", NUMBER, WHOLE, ["TYPE_NARROWED #/"]),
    ("type demanded", {"minLength": 1}, of(TEXT, minLength=1), ["TYPE_NARROWED #/"]),
    ("type no longer demanded", of(TEXT, minLength=1), {"minLength": 1}, ["TYPE_EXTENDED #/"]),
    ("a second type", {"type": ["string"]}, {"type": ["string", "null"]}, ["SUM_TYPE_EXTENDED #/"]),
    ("a type less", {"type": ["string", "null"]}, {"type": ["string"]}, ["TYPE_CHANGED #/"]),
    ("types in another order", {"type": ["string", "null"]}, {"type": ["null", "string"]}, []),
    # strings
    ("maxLength added", TEXT, of(TEXT, maxLength=1), ["MAX_LENGTH_ADDED #/maxLength"]),
    ("maxLength removed", of(TEXT, maxLength=1), TEXT, ["MAX_LENGTH_REMOVED #/maxLength"]),
    ("maxLength up", of(TEXT, maxLength=1), of(TEXT, maxLength=2), ["MAX_LENGTH_INCREASED #/maxLength"]),
    ("maxLength down", of(TEXT, maxLength=2), of(TEXT, maxLength=1), ["MAX_LENGTH_DECREASED #/maxLength"]),
    ("minLength added", TEXT, of(TEXT, minLength=1), ["MIN_LENGTH_ADDED #/minLength"]),
    ("minLength removed", of(TEXT, minLength=1), TEXT, ["MIN_LENGTH_REMOVED #/minLength"]),
    ("minLength up", of(TEXT, minLength=1), of(TEXT, minLength=2), ["MIN_LENGTH_INCREASED #/minLength"]),
    ("minLength down", of(TEXT, minLength=2), of(TEXT, minLength=1), ["MIN_LENGTH_DECREASED #/minLength"]),
    ("pattern added", TEXT, of(TEXT, pattern="a"), ["PATTERN_ADDED #/pattern"]),
    ("pattern removed", of(TEXT, pattern="a"), TEXT, ["PATTERN_REMOVED #/pattern"]),
    ("pattern changed", of(TEXT, pattern="a"), of(TEXT, pattern="."), ["PATTERN_CHANGED #/pattern"]),
    # numbers
    ("maximum added", NUMBER, of(NUMBER, maximum=1), ["MAXIMUM_ADDED #/maximum"]),
    ("maximum removed", of(NUMBER, maximum=1), NUMBER, ["MAXIMUM_REMOVED #/maximum"]),
    ("maximum up", of(NUMBER, maximum=1), of(NUMBER, maximum=1.5), ["MAXIMUM_INCREASED #/maximum"]),
    ("maximum down", of(NUMBER, maximum=1), of(NUMBER, maximum=0), ["MAXIMUM_DECREASED #/maximum"]),
    ("minimum added", NUMBER, of(NUMBER, minimum=0), ["MINIMUM_ADDED #/minimum"]),
    ("minimum removed", of(NUMBER, minimum=0), NUMBER, ["MINIMUM_REMOVED #/minimum"]),
    ("minimum up", of(NUMBER, minimum=0), of(NUMBER, minimum=1), ["MINIMUM_INCREASED #/minimum"]),
    ("minimum down", of(NUMBER, minimum=1), of(NUMBER, minimum=0), ["MINIMUM_DECREASED #/minimum"]),
    (
        "exclusiveMaximum down",
        of(NUMBER, exclusiveMaximum=2),
        of(NUMBER, exclusiveMaximum=1),
        ["EXCLUSIVE_MAXIMUM_DECREASED #/exclusiveMaximum"],
    ),
    (
        "exclusiveMinimum down",
        of(NUMBER, exclusiveMinimum=2),
        of(NUMBER, exclusiveMinimum=1),
        ["EXCLUSIVE_MINIMUM_DECREASED #/exclusiveMinimum"],
    ),
    ("multipleOf added", WHOLE, of(WHOLE, multipleOf=2), ["MULTIPLE_OF_ADDED #/multipleOf"]),
    ("multipleOf removed", of(WHOLE, multipleOf=2), WHOLE, ["MULTIPLE_OF_REMOVED #/multipleOf"]),
    (
        "multipleOf reduced",
        of(NUMBER, multipleOf=0.5),
        of(NUMBER, multipleOf=0.1),
        ["MULTIPLE_OF_REDUCED #/multipleOf"],
    ),
    (
        "multipleOf expanded",
        of(WHOLE, multipleOf=2),
        of(WHOLE, multipleOf=10),
        ["MULTIPLE_OF_EXPANDED #/multipleOf"],
    ),
    (
        "multipleOf changed",
        of(WHOLE, multipleOf=10),
        of(WHOLE, multipleOf=4),
        ["MULTIPLE_OF_CHANGED #/multipleOf"],
    ),
    # fixed values
    ("enum extended", {"enum": [1]}, {"enum": [1, 2]}, ["ENUM_ARRAY_EXTENDED #/enum"]),
    ("enum narrowed", {"enum": [1, 2]}, {"enum": [1]}, ["ENUM_ARRAY_NARROWED #/enum"]),
    ("enum changed", {"enum": [1]}, {"enum": [2]}, ["ENUM_ARRAY_CHANGED #/enum"]),
    ("const changed", {"const": 1}, {"const": 2}, ["ENUM_ARRAY_CHANGED #/const"]),
    ("one is not true", {"const": 1}, {"const": True}, ["ENUM_ARRAY_CHANGED #/const"]),
    ("one is one point zero", {"const": 1}, {"const": 1.0}, []),
    ("enum removed", of(TEXT, enum=["a"]), TEXT, ["PRODUCT_TYPE_NARROWED #/"]),
    ("enum added", TEXT, of(TEXT, enum=["a"]), ["TYPE_CHANGED #/"]),
    (
        "enum beside a type",
        of(TEXT, enum=["a"]),
        of(TEXT, enum=["a", "b"]),
        ["ENUM_ARRAY_EXTENDED #/allOf/1/enum"],
    ),
    # properties under the three content models
    (
        "optional property, open",
        opened(),
        opened(a=TEXT),
        ["OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "required property, open",
        opened(),
        opened(a=TEXT) | {"required": ["a"]},
        ["REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "required property with default, open",
        opened(),
        opened(a=of(TEXT, default="")) | {"required": ["a"]},
        ["REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "empty property, open",
        opened(),
        opened(a={}),
        ["PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "empty property that is required, open",
        opened(),
        opened(a={}) | {"required": ["a"]},
        ["REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "optional property, closed",
        closed(),
        closed(a=TEXT),
        ["OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "required property, closed",
        closed(),
        closed(a=TEXT) | {"required": ["a"]},
        ["REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "required property with default, closed",
        closed(),
        closed(a=of(TEXT, default="")) | {"required": ["a"]},
        ["REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a"],
    ),
    (
        "property covered by additionalProperties",
        opened() | {"additionalProperties": WHOLE},
        opened(a=NUMBER) | {"additionalProperties": WHOLE},
        [
            "TYPE_EXTENDED #/properties/a",
            "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a",
            "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a",
        ],
    ),
    (
        "property not covered by a pattern",
        closed() | {"patternProperties": {"^a": TEXT}},
        closed(a=WHOLE) | {"patternProperties": {"^a": TEXT}},
        [
            "TYPE_CHANGED #/properties/a",
            "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a",
            "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL #/properties/a",
        ],
    ),
    (
        "property beside the patterns of an open model is free",
        opened() | {"patternProperties": {"^a": TEXT}},
        opened(b=TEXT) | {"patternProperties": {"^a": TEXT}},
        ["OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/b"],
    ),
    ("removed, open", opened(a=TEXT), opened(), ["PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL #/properties/a"]),
    (
        "removed, closed",
        closed(a=TEXT),
        closed(),
        ["PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a"],
    ),
    (
        "forbidden property removed, closed",
        closed(a=False),
        closed(),
        ["PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a"],
    ),
    (
        "removed and covered",
        closed(a=WHOLE),
        opened() | {"additionalProperties": NUMBER},
        [
            "TYPE_EXTENDED #/properties/a",
            "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a",
            "ADDITIONAL_PROPERTIES_ADDED #/additionalProperties",
        ],
    ),
    (
        "removed and not covered",
        closed(a=TEXT),
        closed() | {"patternProperties": {"^a": NUMBER}},
        [
            "TYPE_CHANGED #/properties/a",
            "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/properties/a",
            "PATTERN_PROPERTY_ADDED #/patternProperties/^a",
        ],
    ),
    ("changed inside", opened(a=TEXT), opened(a=WHOLE), ["TYPE_CHANGED #/properties/a"]),
    (
        "became required",
        opened(a=TEXT),
        opened(a=TEXT) | {"required": ["a"]},
        ["REQUIRED_ATTRIBUTE_ADDED #/required/a"],
    ),
    (
        "became required with a default",
        opened(a=of(TEXT, default="")),
        opened(a=of(TEXT, default="")) | {"required": ["a"]},
        ["REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED #/required/a"],
    ),
    (
        "a name without a schema became required",
        opened(),
        opened() | {"required": ["a"]},
        ["REQUIRED_ATTRIBUTE_ADDED #/required/a"],
    ),
    (
        "no longer required",
        opened(a=TEXT) | {"required": ["a"]},
        opened(a=TEXT),
        ["REQUIRED_ATTRIBUTE_REMOVED #/required/a"],
    ),
    ("opened", closed(), opened(), ["ADDITIONAL_PROPERTIES_ADDED #/additionalProperties"]),
    ("closed", opened(), closed(), ["ADDITIONAL_PROPERTIES_REMOVED #/additionalProperties"]),
    (
        "rest restricted",
        opened(),
        opened() | {"additionalProperties": TEXT},
        ["ADDITIONAL_PROPERTIES_NARROWED #/additionalProperties"],
    ),
    (
        "rest freed",
        opened() | {"additionalProperties": TEXT},
        opened(),
        ["ADDITIONAL_PROPERTIES_EXTENDED #/additionalProperties"],
    ),
    (
        "rest widened",
        opened() | {"additionalProperties": WHOLE},
        opened() | {"additionalProperties": NUMBER},
        ["TYPE_EXTENDED #/additionalProperties"],
    ),
    (
        "pattern removed from a closed model",
        closed() | {"patternProperties": {"^a": TEXT}},
        closed(),
        ["TYPE_CHANGED #/patternProperties/^a", "PATTERN_PROPERTY_NOT_COVERED #/patternProperties/^a"],
    ),
    (
        "maxProperties added",
        opened(),
        opened() | {"maxProperties": 1},
        ["MAX_PROPERTIES_ADDED #/maxProperties"],
    ),
    (
        "minProperties down",
        opened() | {"minProperties": 2},
        opened() | {"minProperties": 1},
        ["MIN_PROPERTIES_DECREASED #/minProperties"],
    ),
    (
        "dependency added",
        opened(),
        opened() | {"dependencies": {"a": ["b"]}},
        ["DEPENDENCY_ARRAY_ADDED #/dependencies/a"],
    ),
    (
        "dependency narrowed",
        opened() | {"dependencies": {"a": ["b", "c"]}},
        opened() | {"dependencies": {"a": ["b"]}},
        ["DEPENDENCY_ARRAY_NARROWED #/dependencies/a"],
    ),
    (
        "dependency on a schema",
        opened(),
        opened() | {"dependencies": {"a": opened(b=TEXT)}},
        ["KEYWORD_NOT_COMPARED #/dependencies/a"],
    ),
    (
        "names restricted",
        opened(),
        opened() | {"propertyNames": {"maxLength": 3}},
        ["TYPE_CHANGED #/propertyNames"],
    ),
    (
        "what was not evaluated is forbidden, as in a closed model",
        NEWEST | opened(a=True) | {"unevaluatedProperties": False},
        NEWEST | opened() | {"unevaluatedProperties": False},
        ["PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a"],
    ),
    (
        "what depends on neighbours is not compared",
        NEWEST | {"allOf": [opened(a=TEXT)], "unevaluatedProperties": False},
        NEWEST | {"allOf": [opened(a=TEXT, b=TEXT)], "unevaluatedProperties": False},
        ["KEYWORD_NOT_COMPARED #/unevaluatedProperties"],
    ),
    # arrays
    (
        "items widened",
        {"type": "array", "items": WHOLE},
        {"type": "array", "items": NUMBER},
        ["TYPE_EXTENDED #/items"],
    ),
    ("items restricted", {"type": "array"}, {"type": "array", "items": TEXT}, ["SCHEMA_ADDED #/items"]),
    ("items freed", {"type": "array", "items": TEXT}, {"type": "array"}, ["SCHEMA_REMOVED #/items"]),
    (
        "position added to an open list",
        {"type": "array", "items": [TEXT]},
        {"type": "array", "items": [TEXT, TEXT]},
        ["ITEM_ADDED_TO_OPEN_CONTENT_MODEL #/items/1"],
    ),
    (
        "position added to a closed list",
        {"type": "array", "items": [TEXT], "additionalItems": False},
        {"type": "array", "items": [TEXT, TEXT], "additionalItems": False},
        ["ITEM_ADDED_TO_CLOSED_CONTENT_MODEL #/items/1"],
    ),
    (
        "position removed from a closed list",
        NEWEST | {"type": "array", "prefixItems": [TEXT], "items": False},
        NEWEST | {"type": "array", "items": False},
        [
            "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL #/items/0",
        ],
    ),
    (
        "position added under the rest",
        {"type": "array", "items": [TEXT], "additionalItems": WHOLE},
        {"type": "array", "items": [TEXT, NUMBER], "additionalItems": WHOLE},
        [
            "TYPE_EXTENDED #/items/1",
            "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL #/items/1",
        ],
    ),
    (
        "rest of a list closed",
        {"type": "array", "items": [TEXT]},
        {"type": "array", "items": [TEXT], "additionalItems": False},
        ["ADDITIONAL_ITEMS_REMOVED #/additionalItems"],
    ),
    (
        "unique items",
        {"type": "array"},
        {"type": "array", "uniqueItems": True},
        ["UNIQUE_ITEMS_ADDED #/uniqueItems"],
    ),
    (
        "maxItems up",
        {"type": "array", "maxItems": 1},
        {"type": "array", "maxItems": 2},
        ["MAX_ITEMS_INCREASED #/maxItems"],
    ),
    (
        "contains is not compared",
        {"type": "array", "contains": WHOLE},
        {"type": "array", "contains": NUMBER},
        ["KEYWORD_NOT_COMPARED #/contains"],
    ),
    # combinations
    (
        "a further alternative",
        {"oneOf": [TEXT]},
        {"oneOf": [WHOLE, TEXT]},
        ["SUM_TYPE_EXTENDED #/"],
    ),
    ("an alternative less", {"anyOf": [TEXT, WHOLE]}, {"anyOf": [TEXT]}, ["SUM_TYPE_NARROWED #/"]),
    ("another alternative", {"oneOf": [TEXT]}, {"oneOf": [WHOLE]}, ["COMBINED_TYPE_SUBSCHEMAS_CHANGED #/"]),
    (
        "one part more to hold",
        {"allOf": [TEXT]},
        {"allOf": [TEXT, {"maxLength": 1}]},
        ["PRODUCT_TYPE_EXTENDED #/"],
    ),
    (
        "one part less to hold",
        {"allOf": [{"minLength": 2}, {"maxLength": 3}]},
        {"allOf": [{"maxLength": 3}]},
        ["PRODUCT_TYPE_NARROWED #/"],
    ),
    ("oneOf to anyOf", {"oneOf": [TEXT, WHOLE]}, {"anyOf": [WHOLE, TEXT]}, ["COMBINED_TYPE_EXTENDED #/"]),
    ("anyOf to oneOf", {"anyOf": [TEXT, WHOLE]}, {"oneOf": [TEXT, WHOLE]}, ["COMBINED_TYPE_CHANGED #/"]),
    ("a single part is unwrapped", {"allOf": [TEXT]}, TEXT, []),
    ("a single part is wrapped", TEXT, {"allOf": [TEXT]}, []),
    ("one becomes one of several", TEXT, {"anyOf": [WHOLE, TEXT]}, ["SUM_TYPE_EXTENDED #/"]),
    (
        "alternatives that overlap",
        {"oneOf": [WHOLE]},
        {"oneOf": [WHOLE, NUMBER]},
        ["SUM_TYPE_EXTENDED #/", "ONE_OF_MAY_OVERLAP #/oneOf"],
    ),
    (
        "alternatives told apart by a mark",
        {"oneOf": [marked("a"), marked("b")]},
        {"oneOf": [marked("a"), marked("b"), marked("c")]},
        ["SUM_TYPE_EXTENDED #/"],
    ),
    (
        "alternatives in another order, overlapping as before",
        {"oneOf": [WHOLE, NUMBER]},
        {"oneOf": [NUMBER, WHOLE]},
        [],
    ),
    ("less is refused", {"not": NUMBER}, {"not": WHOLE}, ["NOT_TYPE_NARROWED #/not"]),
    ("more is refused", {"not": WHOLE}, {"not": NUMBER}, ["NOT_TYPE_EXTENDED #/not"]),
    (
        "conditions are not compared",
        {"if": TEXT, "then": {"maxLength": 1}},
        {"if": TEXT, "then": {"maxLength": 2}},
        ["KEYWORD_NOT_COMPARED #/if"],
    ),
    (
        "the same condition",
        {"if": TEXT, "then": {"maxLength": 1}},
        {"then": {"maxLength": 1}, "if": TEXT},
        [],
    ),
    # references
    (
        "behind a reference",
        opened(a={"$ref": "#/definitions/a"}) | {"definitions": {"a": TEXT}},
        opened(a={"$ref": "#/definitions/b"}) | {"definitions": {"b": of(TEXT, maxLength=1)}},
        ["MAX_LENGTH_ADDED #/properties/a/maxLength"],
    ),
    (
        "a schema inside itself",
        opened(next={"$ref": "#"}, a=WHOLE),
        opened(next={"$ref": "#"}, a=NUMBER),
        ["TYPE_EXTENDED #/properties/a"],
    ),
    (
        "an endless circle is no schema to compare",
        {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/a"}}},
        {"$ref": "#/definitions/b", "definitions": {"b": {"$ref": "#/definitions/b"}}},
        ["KEYWORD_NOT_COMPARED #/$ref"],
    ),
    (
        "beside a reference nothing counted in draft 7",
        {"$ref": "#/definitions/a", "maxLength": 5, "definitions": {"a": TEXT}},
        {"$ref": "#/definitions/a", "maxLength": 1, "definitions": {"a": TEXT}},
        [],
    ),
    (
        "beside a reference everything counts since 2019",
        NEWEST | {"$ref": "#/$defs/a", "maxLength": 5, "$defs": {"a": TEXT}},
        NEWEST | {"$ref": "#/$defs/a", "maxLength": 1, "$defs": {"a": TEXT}},
        ["COMBINED_TYPE_SUBSCHEMAS_CHANGED #/"],
    ),
]


@pytest.mark.parametrize(
    ("original", "update", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_rule(original: Any, update: Any, expected: list[str]) -> None:
    """The change is found as this kind at this path, and is compatible if all its kinds are."""
    assert found(original, update) == expected
    kinds = {Kind(line.split()[0]) for line in expected}
    assert compatible(original, update) == (kinds <= COMPATIBLE)


@pytest.mark.parametrize("schema", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_nothing_changed(schema: Any) -> None:
    """A schema is compatible with itself, even spelt in another order of keys."""
    if isinstance(schema, dict):
        assert compatible(schema, dict(reversed(schema.items())) | {"title": "other"}) or "ref" in str(schema)
    assert found(schema, schema) == []


def test_every_kind_has_its_sentence() -> None:
    """Whatever is refused is explained with its path."""
    for kind in Kind:
        sentence = Difference(kind, "#/some/path").sentence("new", "old")
        assert "#/some/path" in sentence, kind
        assert "new" in sentence, kind


def test_matching_is_as_large_as_possible() -> None:
    """A greedy choice is turned over when another pair needs the partner."""
    assert maximum_matching([(0, 0), (0, 1), (1, 0)]) == {0: 1, 1: 0}
    assert len(maximum_matching([(0, 0), (0, 1), (1, 0), (1, 2), (2, 0)])) == 3
    assert maximum_matching([]) == {}


def test_hostile_schemas_come_to_an_end() -> None:
    """Deep and entangled schemas are refused as too complex instead of being compared for ever."""

    def nested(depth: int) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        for _ in range(depth):
            schema = opened(a=schema)
        return schema

    deep = found(nested(90), nested(90) | {"title": "x"})
    assert [line.split()[0] for line in deep] == ["TITLE_CHANGED", "COMPARISON_TOO_COMPLEX"]
    wide: dict[str, Any] = {"type": "integer"}
    for _ in range(5):
        wide = {"anyOf": [of(wide, description=str(n)) for n in range(4)]}
    assert compatible(wide, wide | {"title": "x"}) in {True, False}
