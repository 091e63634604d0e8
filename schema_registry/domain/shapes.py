"""What a schema demands at its outermost level, brought to one of a dozen forms that rules can compare.

A schema with several demands becomes a product (`allOf`) of parts with one demand each, one with several
types becomes a sum (`anyOf`) of one part per type; references are followed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from referencing.exceptions import Unresolvable

from schema_registry.domain.documents import REFERENCE_HOPS_MAX, Dialect, Node


class Form(Enum):
    ANYTHING = "anything"
    NOTHING = "nothing"
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    OBJECT = "object"
    ARRAY = "array"
    CHOICE = "choice"
    NOT = "not"
    PRODUCT = "allOf"
    SUM = "anyOf"
    EXCLUSIVE_SUM = "oneOf"
    OPAQUE = "opaque"
    """No rule knows it: equal to itself only."""


COMBINED = frozenset({Form.PRODUCT, Form.SUM, Form.EXCLUSIVE_SUM})

FORM_OF_TYPE = {
    "string": Form.STRING,
    "number": Form.NUMBER,
    "integer": Form.NUMBER,
    "boolean": Form.BOOLEAN,
    "null": Form.NULL,
    "object": Form.OBJECT,
    "array": Form.ARRAY,
}

KEYWORDS: dict[Form, frozenset[str]] = {
    Form.STRING: frozenset({"minLength", "maxLength", "pattern"}),
    Form.NUMBER: frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    Form.OBJECT: frozenset({
        "properties", "required", "additionalProperties", "patternProperties", "minProperties",
        "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames",
    }),
    Form.ARRAY: frozenset({
        "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains",
        "minContains", "maxContains",
    }),
    Form.BOOLEAN: frozenset(),
    Form.NULL: frozenset(),
}  # fmt: skip

CONDITION = ("if", "then", "else")
DYNAMIC = ("$dynamicRef", "$recursiveRef")
IN_PLACE = frozenset({
    "allOf", "anyOf", "oneOf", "not", *CONDITION, "$ref", *DYNAMIC, "dependentSchemas", "dependencies"
})  # fmt: skip
"""Keywords that apply other schemas to the same value, and so take part in what counts as evaluated."""


SINCE = {
    "const": 1, "contains": 1, "propertyNames": 1, "if": 2,
    "dependentRequired": 3, "dependentSchemas": 3, "minContains": 3, "maxContains": 3,
    "unevaluatedProperties": 3, "unevaluatedItems": 3, "$recursiveRef": 3,
    "prefixItems": 4, "$dynamicRef": 4,
}  # fmt: skip
"""Position of the draft, counted from draft 4, that gave a keyword its meaning; before it says nothing."""

WORDS = frozenset({"$schema", "$comment", "title", "description", "default", "examples"})
"""Keywords for people."""

_POSITION = {dialect: position for position, dialect in enumerate(Dialect)}


@dataclass(frozen=True, slots=True)
class Shape:
    """A form, the node that carries its keywords, and the parts of a combined form."""

    form: Form
    node: Node
    parts: tuple[Node, ...] = ()
    origin: int = 0
    """Where the schema stands in its document, references followed: the same place is the same schema."""

    @property
    def keywords(self) -> dict[str, Any]:
        return self.node.contents if isinstance(self.node.contents, dict) else {}


def shape_of(node: Node) -> Shape:
    """The outermost demand of a schema. Raises `referencing.exceptions.Unresolvable`."""
    for _ in range(REFERENCE_HOPS_MAX):
        if isinstance(node.contents, bool):
            return Shape(Form.ANYTHING if node.contents else Form.NOTHING, node)
        origin = id(node.contents)
        node = replace(node, contents=_meaningful(node.contents, node.dialect))
        if isinstance(node.contents, dict) and _depends_on_evaluation(node.contents):
            # Cut into parts it would lose what its neighbours have evaluated; it stays whole.
            return Shape(Form.OPAQUE, node, origin=origin)
        parts = list(_parts(node))
        if len(parts) != 1:
            form = Form.PRODUCT if parts else Form.ANYTHING
            return Shape(form, node, tuple(parts), origin)
        single = parts[0]
        contents = single.contents
        if isinstance(contents, dict) and "$ref" in contents:
            node = single.referred(contents["$ref"])
            continue
        return replace(_single(single), origin=origin)
    raise Unresolvable("a circle of references")


def identity(value: Any) -> str:
    """A text equal for equal JSON values: 1 and 1.0 are the same, 1 and true are not."""
    return json.dumps(_plain(value), sort_keys=True)


def choices(keywords: dict[str, Any]) -> dict[str, Any]:
    """The values that `enum` or `const` allow, by their identity."""
    values = [keywords["const"]] if "const" in keywords else keywords["enum"]
    return {identity(value): value for value in values}


def mentions_references(value: Any) -> bool:
    """Whether something in here points elsewhere, so that equal words need not mean the same."""
    if isinstance(value, dict):
        return any(key in value for key in ("$ref", *DYNAMIC)) or any(
            map(mentions_references, value.values())
        )
    return isinstance(value, list) and any(map(mentions_references, value))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _single(node: Node) -> Shape:
    contents: dict[str, Any] = node.contents if isinstance(node.contents, dict) else {}
    for form in COMBINED:
        if form.value in contents:
            return Shape(form, node, tuple(node.child(part) for part in contents[form.value]))
    if "enum" in contents or "const" in contents:
        return Shape(Form.CHOICE, node)
    if "not" in contents:
        return Shape(Form.NOT, node)
    if "type" in contents:
        return Shape(FORM_OF_TYPE[contents["type"]], node)
    for form, keywords in KEYWORDS.items():
        if keywords & contents.keys():
            return Shape(form, node)
    return Shape(Form.OPAQUE, node)


def _meaningful(contents: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The keywords that demand something in this draft."""
    return {
        key: value
        for key, value in contents.items()
        if key not in WORDS and SINCE.get(key, 0) <= _POSITION[dialect]
    }


def _parts(node: Node) -> Iterator[Node]:
    """One node for each demand of the schema; annotations demand nothing."""
    contents: dict[str, Any] = node.contents if isinstance(node.contents, dict) else {}

    def part(**keywords: Any) -> Node:
        return replace(node, contents=keywords)

    if "$ref" in contents:
        yield part(**{"$ref": contents["$ref"]})
        if not node.dialect.keeps_siblings_of_ref:
            return
    contents = _evaluation_made_plain(contents)
    yield from _typed_parts(node, contents)
    for keyword in ("enum", "const", "not", "allOf", "anyOf", "oneOf", *DYNAMIC):
        if keyword in contents:
            yield part(**{keyword: contents[keyword]})
    if "if" in contents and ("then" in contents or "else" in contents):
        yield part(**{keyword: contents[keyword] for keyword in CONDITION if keyword in contents})


def _typed_parts(node: Node, contents: dict[str, Any]) -> Iterator[Node]:
    declared = contents.get("type")
    if declared is None:
        for keywords in KEYWORDS.values():
            if found := {key: contents[key] for key in contents if key in keywords}:
                yield replace(node, contents=found)
        return
    types = [declared] if isinstance(declared, str) else declared
    alternatives = [
        {"type": name} | {key: contents[key] for key in contents if key in KEYWORDS[FORM_OF_TYPE[name]]}
        for name in types
    ]
    if len(alternatives) == 1:
        yield replace(node, contents=alternatives[0])
    else:
        yield replace(node, contents={"anyOf": alternatives})


def _depends_on_evaluation(contents: dict[str, Any]) -> bool:
    demands = [
        key
        for key in ("unevaluatedProperties", "unevaluatedItems")
        if contents.get(key, True) not in (True, {})
    ]
    if not demands:
        return False
    return bool(IN_PLACE & contents.keys()) or ("unevaluatedItems" in demands and "contains" in contents)


def _evaluation_made_plain(contents: dict[str, Any]) -> dict[str, Any]:
    """Without in-place neighbours `unevaluated...` says just what `additional...` says."""
    plain = dict(contents)
    if (value := plain.pop("unevaluatedProperties", None)) is not None:
        plain.setdefault("additionalProperties", value)
    if (value := plain.pop("unevaluatedItems", None)) is not None:
        by_position = isinstance(plain.get("items"), list)
        rest = "additionalItems" if by_position else "items"
        plain.setdefault(rest, value)
    return plain
