"""Whether two schemas can never hold for the same value: a proof or nothing, `False` means "not known"."""

from collections.abc import Callable
from typing import Any

from referencing.exceptions import Unresolvable

from schema_registry.domain.documents import Node
from schema_registry.domain.shapes import COMBINED, KEYWORDS, Form, Shape, choices

EVERY_TYPE = frozenset(KEYWORDS)
DEPTH_MAX = 10


class Disjointness:
    """Proves by types, by sets of allowed values, and by required properties with such sets."""

    def __init__(self, shape_of: Callable[[Node], Shape]) -> None:
        self._shape_of = shape_of

    def proves(self, one: Node, other: Node, depth: int = DEPTH_MAX) -> bool:
        if depth == 0:
            return False
        try:
            return self._proves(one, other, depth - 1)
        except Unresolvable:
            return False

    def _proves(self, one: Node, other: Node, depth: int) -> bool:
        if not self._types(one, depth) & self._types(other, depth):
            return True
        values, others = self._values(one, depth), self._values(other, depth)
        if values is not None and others is not None and not values.keys() & others.keys():
            return True
        if self._types(one, depth) != {Form.OBJECT} or self._types(other, depth) != {Form.OBJECT}:
            return False
        mine, theirs = self._marks(one, depth), self._marks(other, depth)
        return any(
            self.proves(a, b, depth)
            for name in mine.keys() & theirs.keys()
            for a in mine[name]
            for b in theirs[name]
        )

    def _types(self, node: Node, depth: int) -> frozenset[Form]:
        """The types a value may have."""
        shape = self._shape_of(node)
        if depth == 0:
            return EVERY_TYPE
        if shape.form is Form.NOTHING:
            return frozenset()
        if shape.form is Form.CHOICE:
            return frozenset(_type_of(value) for value in choices(shape.keywords).values())
        if shape.form in COMBINED:
            parts = [self._types(part, depth - 1) for part in shape.parts]
            return (
                EVERY_TYPE.intersection(*parts) if shape.form is Form.PRODUCT else frozenset().union(*parts)
            )
        return frozenset({shape.form}) if "type" in shape.keywords else EVERY_TYPE

    def _values(self, node: Node, depth: int) -> dict[str, Any] | None:
        """The only values allowed, where they are listed."""
        shape = self._shape_of(node)
        if shape.form is Form.CHOICE:
            return choices(shape.keywords)
        if shape.form is Form.PRODUCT and depth > 0:
            return next((v for part in shape.parts if (v := self._values(part, depth - 1)) is not None), None)
        return None

    def _marks(self, node: Node, depth: int) -> dict[str, list[Node]]:
        """Schemas of the properties that must be there: one of them may tell alternatives apart."""
        shape = self._shape_of(node)
        if shape.form is Form.PRODUCT and depth > 0:
            merged: dict[str, list[Node]] = {}
            for part in shape.parts:
                for name, nodes in self._marks(part, depth - 1).items():
                    merged.setdefault(name, []).extend(nodes)
            return merged
        if shape.form is not Form.OBJECT:
            return {}
        properties = shape.keywords.get("properties", {})
        return {
            name: [shape.node.child(properties[name])]
            for name in shape.keywords.get("required", [])
            if name in properties
        }


def _type_of(value: Any) -> Form:
    if isinstance(value, bool):
        return Form.BOOLEAN
    if value is None:
        return Form.NULL
    if isinstance(value, int | float):
        return Form.NUMBER
    if isinstance(value, str):
        return Form.STRING
    return Form.ARRAY if isinstance(value, list) else Form.OBJECT
