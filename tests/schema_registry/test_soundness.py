"""A verdict "compatible" is never contradicted by data.

Schemas are drawn at random and changed at random; whatever value is valid against the original must then be
valid against the update. Defaults are left out: that a reader fills them in is an agreement, not a rule.
"""

import itertools
import json
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema_registry.domain.comparison import is_within
from schema_registry.domain.documents import Dialect, read_document

NAMES = ("a", "b", "ab")
SCALARS: list[Any] = [None, True, False, -1, 0, 1, 2, 3, 0.5, 1.5, "", "a", "b", "ab", "abc"]
VALUES: list[Any] = [
    *SCALARS,
    *([list(items) for size in range(3) for items in itertools.product([0, 1, "a", None, 1.5], repeat=size)]),
    *({name: value} for name in NAMES for value in [*SCALARS, {}, [], {"a": 1}, [1]]),
    *(
        {first: one, second: two}
        for first, second in itertools.combinations(NAMES, 2)
        for one, two in itertools.product([0, 1, "a", None], repeat=2)
    ),
    {"a": 1, "b": "a", "ab": None},
    {"a": {"a": {"a": 1}}},
    {"a": {"b": "a"}},
    [[1], ["a"]],
    [1, 1, 1],
    [{"a": 1}],
    {},
]

SUBSCHEMAS = {
    "additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems", "contains",
    "not", "if", "then",
}  # fmt: skip
BOUNDS = {
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minProperties", "maxProperties", "minItems", "maxItems",
}  # fmt: skip

small = st.integers(0, 3)
DIALECTS = st.sampled_from([Dialect.DRAFT_7, Dialect.DRAFT_2020_12])


def optional(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=choices)


def scalars() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.booleans(),
        st.just({}),
        st.sampled_from([{"type": name} for name in ("string", "integer", "number", "boolean", "null")]),
        optional(minLength=small, maxLength=small, pattern=st.sampled_from(["a", "^a", "b$"])).map(
            lambda found: found | {"type": "string"}
        ),
        optional(minimum=small, maximum=small, multipleOf=st.sampled_from([1, 2, 0.5])).flatmap(
            lambda found: st.sampled_from([found, found | {"type": "integer"}, found | {"type": "number"}])
        ),
        optional(exclusiveMinimum=small, exclusiveMaximum=small),
        st.lists(st.sampled_from(SCALARS[:10]), min_size=1, max_size=3, unique_by=repr).map(
            lambda values: {"enum": values}
        ),
        st.sampled_from(SCALARS).map(lambda value: {"const": value}),
        st.just({"type": ["string", "null"]}),
        st.just({"type": ["integer", "null"], "enum": [1, None]}),
    )


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    objects = optional(
        properties=st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        required=st.lists(st.sampled_from(NAMES), unique=True, max_size=2),
        additionalProperties=inner,
        patternProperties=st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
        minProperties=small,
        maxProperties=small,
        propertyNames=inner,
        dependentRequired=st.dictionaries(
            st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True, max_size=2), max_size=1
        ),
        unevaluatedProperties=inner,
    )
    arrays = optional(
        items=inner,
        prefixItems=several,
        minItems=small,
        maxItems=small,
        uniqueItems=st.booleans(),
        contains=inner,
        unevaluatedItems=inner,
    )
    return st.one_of(
        objects,
        objects.map(lambda found: found | {"type": "object"}),
        arrays.map(lambda found: found | {"type": "array"}),
        several.map(lambda parts: {"anyOf": parts}),
        several.map(lambda parts: {"oneOf": parts}),
        several.map(lambda parts: {"allOf": parts}),
        inner.map(lambda part: {"not": part}),
        st.tuples(inner, inner).map(lambda two: {"if": two[0], "then": two[1]}),
        st.tuples(objects, several).map(lambda two: two[0] | {"oneOf": two[1]}),
        st.just({"type": "object", "properties": {"a": {"$ref": "#"}}}),
        inner.map(lambda part: {"properties": {"a": {"$ref": "#"}, "b": part}}),
    )


schemas = st.recursive(scalars(), wider, max_leaves=6)


@st.composite
def changed(draw: st.DrawFn, schema: Any) -> Any:
    """The schema with something in it taken away, put in or replaced."""
    if not isinstance(schema, dict) or not schema or draw(st.integers(0, 5)) == 0:
        return draw(schemas)
    keyword = draw(st.sampled_from(sorted(schema)))
    how = draw(st.integers(0, 4))
    if how == 0:
        return {key: value for key, value in schema.items() if key != keyword}
    if how == 1:
        more = draw(schemas)
        return schema | (more if isinstance(more, dict) else {})
    return schema | {keyword: draw(changed_value(keyword, schema[keyword]))}


@st.composite
def changed_value(draw: st.DrawFn, keyword: str, value: Any) -> Any:
    """What stands behind a keyword, changed inside."""
    if keyword in {"properties", "patternProperties"}:
        name = draw(st.sampled_from(sorted(value) or ["a"]))
        return value | {name: draw(changed(value.get(name, {})))}
    if keyword in {"anyOf", "oneOf", "allOf", "prefixItems"}:
        place = draw(st.integers(0, len(value)))
        part = draw(schemas) if place == len(value) else draw(changed(value[place]))
        return [*value[:place], part, *value[place + 1 :]]
    if keyword in SUBSCHEMAS:
        return draw(changed(value))
    if keyword == "enum":
        return [*value, "further"]
    if keyword in BOUNDS:
        return draw(st.integers(max(0, value - 1), value + 1))
    return value


pairs = schemas.flatmap(lambda schema: st.tuples(st.just(schema), changed(schema)))


@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(pair=pairs, dialect=DIALECTS)
def test_what_was_valid_stays_valid(pair: tuple[Any, Any], dialect: Dialect) -> None:
    """No value contradicts the verdict that everything valid stays valid."""
    original, update = (_declaring(schema, dialect) for schema in pair)
    if not is_within(read_document(json.dumps(original)), read_document(json.dumps(update))):
        return
    before, after = (jsonschema_rs.validator_for(schema) for schema in (original, update))
    valid = [value for value in VALUES if before.is_valid(value)]
    broken = [value for value in valid if not after.is_valid(value)]
    assert not broken, f"{json.dumps(original)} -> {json.dumps(update)} breaks {broken[0]!r}"


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(schema=schemas, dialect=DIALECTS)
def test_a_schema_is_within_anything(schema: Any, dialect: Dialect) -> None:
    """Everything may become the empty schema, and nothing may become anything."""
    document = read_document(json.dumps(_declaring(schema, dialect)))
    assert is_within(document, read_document("{}"))
    assert is_within(read_document("false"), document)


def _declaring(schema: Any, dialect: Dialect) -> Any:
    return {"$schema": dialect.address} | schema if isinstance(schema, dict) else schema
