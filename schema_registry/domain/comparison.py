"""Whether everything that is valid against one schema stays valid against another.

Follows Confluent's rules and is stricter where they would let old data fail: alternatives of `oneOf` that may
overlap, patterns of properties, names that become required, keywords without a rule. `format` is an
annotation here, as there.

Schemas may point at themselves: a pair that is under comparison already, one step further inside the data,
is taken to be fine, which is induction over the size of the data. A pair that comes back without such a
step, or a comparison without an end, is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from referencing.exceptions import Unresolvable

from schema_registry.domain.differences import Difference, Kind
from schema_registry.domain.disjointness import Disjointness
from schema_registry.domain.documents import Dialect, Document, Node
from schema_registry.domain.matching import maximum_matching
from schema_registry.domain.rules.arrays import compare_arrays
from schema_registry.domain.rules.bounds import Path, difference
from schema_registry.domain.rules.objects import compare_objects
from schema_registry.domain.rules.scalars import choice, number, string
from schema_registry.domain.shapes import (
    COMBINED,
    KEYWORDS,
    Form,
    Shape,
    identity,
    mentions_references,
    shape_of,
)

STEPS_MAX = 50_000
DEPTH_MAX = 60
"""Schemas compared inside each other; Python's own stack is the reason for a limit this low."""

ANNOTATIONS = {
    "title": Kind.TITLE_CHANGED,
    "description": Kind.DESCRIPTION_CHANGED,
    "default": Kind.DEFAULT_CHANGED,
}


def differences(original: Document, update: Document, *, lenient: bool = False) -> list[Difference]:
    """Everything that differs between two schemas; compatible when each difference is."""
    if original.text == update.text and original.references == update.references:
        return []
    return Comparison(lenient=lenient).compare(original.root(), update.root(), ())


def is_within(original: Document, update: Document) -> bool:
    """Whether whatever is valid against `original` is valid against `update`."""
    return all(d.compatible for d in differences(original, update))


@dataclass(frozen=True, slots=True)
class _Edge:
    original: int
    update: int
    differences: list[Difference]


class Comparison:
    """One comparison with its memory of what is under way, and its end in sight."""

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._steps = 0
        self._depth = 0
        self._inside = 0
        self._under_way: dict[tuple[int, int], int] = {}
        self._shapes: dict[int, tuple[Node, Shape]] = {}
        self._disjointness = Disjointness(self._shape)

    def compare(self, original: Node, update: Node, path: Path) -> list[Difference]:
        self._steps += 1
        if self._steps > STEPS_MAX or self._depth > DEPTH_MAX:
            return [difference(Kind.COMPARISON_TOO_COMPLEX, path)]
        self._depth += 1
        try:
            found = list(self._compare(original, update, path))
            return [replace(one, lenient=True) for one in found] if self._lenient else found
        except Unresolvable:
            return [difference(Kind.KEYWORD_NOT_COMPARED, (*path, "$ref"))]
        finally:
            self._depth -= 1

    def is_anything(self, node: Node) -> bool:
        return self._shape(node).form is Form.ANYTHING

    def is_nothing(self, node: Node) -> bool:
        return self._shape(node).form is Form.NOTHING

    def _shape(self, node: Node) -> Shape:
        if isinstance(node.contents, bool):
            return shape_of(node)
        key = id(node.contents)
        if key not in self._shapes:
            # The node is kept beside its shape: the address stays taken while it serves as a key.
            self._shapes[key] = (node, shape_of(node))
        return self._shapes[key][1]

    def _compare(self, original: Node, update: Node, path: Path) -> Iterator[Difference]:
        old, new = self._shape(original), self._shape(update)
        if old.form is Form.NOTHING or new.form is Form.ANYTHING:
            return
        key = (old.origin, new.origin)
        if key in self._under_way:
            if self._under_way[key] == self._inside:
                yield difference(Kind.KEYWORD_NOT_COMPARED, (*path, "$ref"))
            return
        self._under_way[key] = self._inside
        try:
            if old.form is not new.form:
                yield from self._unlike(old, new, path)
            else:
                yield from annotations(original, update, path)
                yield from self._alike(old, new, path)
        finally:
            del self._under_way[key]

    def _alike(self, old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
        match old.form:
            case Form.STRING:
                yield from string(old.keywords, new.keywords, path)
            case Form.NUMBER:
                yield from number(old.keywords, new.keywords, path)
            case Form.CHOICE:
                yield from choice(old.keywords, new.keywords, path)
            case Form.OBJECT:
                yield from self._inner(compare_objects, old, new, path)
            case Form.ARRAY:
                yield from self._inner(compare_arrays, old, new, path)
            case Form.NOT:
                yield from self._negated(old, new, (*path, "not"))
            case Form.OPAQUE:
                yield from opaque(old, new, path)
            case Form.PRODUCT | Form.SUM | Form.EXCLUSIVE_SUM:
                yield from self._combined(old, new, path)
            case _:
                pass
        if old.form in KEYWORDS:
            yield from type_demanded(old, new, path)

    def _inner(self, rule: Any, old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
        """Compare what is inside of an object or array: one step further into the data."""
        self._inside += 1
        try:
            yield from rule(self, old.node, new.node, path)
        finally:
            self._inside -= 1

    def _unlike(self, old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
        """Two forms: equal in meaning only where one of them combines others."""
        if old.form in COMBINED and new.form in COMBINED:
            yield from self._combined(old, new, path)
            return
        if new.form in COMBINED:
            fitting = self._within_one(old, new, path)
            if fitting is not None:
                yield from fitting
                if len(new.parts) > 1:
                    yield difference(Kind.SUM_TYPE_EXTENDED, path)
                    yield from self._overlap(new, path)
                return
        elif old.form in COMBINED and (old.form is Form.PRODUCT or len(old.parts) == 1):
            for part in old.parts:
                found = self.compare(part, new.node, path)
                if all(d.compatible for d in found):
                    yield from found
                    if len(old.parts) > 1:
                        yield difference(Kind.PRODUCT_TYPE_NARROWED, path)
                    return
        yield difference(Kind.TYPE_CHANGED, path)

    def _within_one(self, old: Shape, new: Shape, path: Path) -> list[Difference] | None:
        """The differences to the first alternative that takes everything; None when there is none."""
        if new.form is Form.PRODUCT and len(new.parts) > 1:
            return None
        for part in new.parts:
            found = self.compare(old.node, part, path)
            if all(d.compatible for d in found):
                return found
        return None

    def _combined(self, old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
        """Parts of products and sums are paired so that as many as possible fit each other."""
        kind = criterion_change(old, new)
        if kind is not None:
            yield difference(kind, path)
        if kind is Kind.COMBINED_TYPE_CHANGED:
            return
        size = parts_change(old, new)
        if size is not None:
            yield difference(size, path)
        edges = {
            (edge.original, edge.update): edge
            for index, part in enumerate(old.parts)
            for edge in self._edges(index, part, new, (*path, old.form.value, str(index)))
        }
        matching = maximum_matching(edges.keys())
        for pair in sorted(matching.items()):
            yield from edges[pair].differences
        if len(matching) < min(len(old.parts), len(new.parts)):
            yield difference(Kind.COMBINED_TYPE_SUBSCHEMAS_CHANGED, path)
        elif new.form is Form.EXCLUSIVE_SUM and not self._same_alternatives(old, new, matching, path):
            yield from self._overlap(new, path)

    def _edges(self, index: int, part: Node, new: Shape, path: Path) -> Iterator[_Edge]:
        for position, other in enumerate(new.parts):
            found = self.compare(part, other, path)
            if all(d.compatible for d in found):
                yield _Edge(index, position, found)

    def _same_alternatives(self, old: Shape, new: Shape, matching: dict[int, int], path: Path) -> bool:
        """Whether each alternative of `oneOf` means what it meant: then as many hold at once as before."""
        return (
            old.form is Form.EXCLUSIVE_SUM
            and len(old.parts) == len(new.parts)
            and all(
                all(d.compatible for d in self.compare(new.parts[b], old.parts[a], path))
                for a, b in matching.items()
            )
        )

    def _overlap(self, new: Shape, path: Path) -> Iterator[Difference]:
        if new.form is Form.EXCLUSIVE_SUM and not all(
            self._disjointness.proves(a, b) for a, b in combinations(new.parts, 2)
        ):
            yield difference(Kind.ONE_OF_MAY_OVERLAP, (*path, "oneOf"))

    def _negated(self, old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
        """What is refused may only shrink."""
        before, after = old.node.child(old.keywords["not"]), new.node.child(new.keywords["not"])
        if not all(d.compatible for d in self.compare(after, before, path)):
            yield difference(Kind.NOT_TYPE_EXTENDED, path)
        elif not all(d.compatible for d in self.compare(before, after, path)):
            yield difference(Kind.NOT_TYPE_NARROWED, path)


def annotations(original: Node, update: Node, path: Path) -> Iterator[Difference]:
    """Words for people and defaults change nothing about what is valid."""
    if not isinstance(original.contents, dict) or not isinstance(update.contents, dict):
        return
    if Dialect.DRAFT_2020_12 not in {original.dialect, update.dialect} and _own_name(original) != _own_name(
        update
    ):
        # Confluent's rules are silent about names in the newest draft.
        yield difference(Kind.ID_CHANGED, path)
    for keyword, kind in ANNOTATIONS.items():
        if identity(original.contents.get(keyword)) != identity(update.contents.get(keyword)):
            yield difference(kind, path)


def _own_name(node: Node) -> Any:
    return (
        node.contents.get("id" if node.dialect is Dialect.DRAFT_4 else "$id")
        if isinstance(node.contents, dict)
        else None
    )


def type_demanded(old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
    """Keywords without `type` say nothing about values of other types; with it they refuse them."""
    if "type" in new.keywords and "type" not in old.keywords:
        if new.keywords["type"] != "integer":
            yield difference(Kind.TYPE_NARROWED, path)
    elif "type" in old.keywords and "type" not in new.keywords and old.keywords["type"] != "integer":
        yield difference(Kind.TYPE_EXTENDED, path)


def opaque(old: Shape, new: Shape, path: Path) -> Iterator[Difference]:
    if identity(old.keywords) != identity(new.keywords) or mentions_references(new.keywords):
        keywords = sorted(new.keywords, key=lambda keyword: not keyword.startswith("unevaluated"))
        yield difference(Kind.KEYWORD_NOT_COMPARED, (*path, *keywords[:1]))


def criterion_change(old: Shape, new: Shape) -> Kind | None:
    """From allOf or oneOf to anyOf is wider; other changes hold only where there is a single part."""
    if old.form is new.form:
        return None
    if new.form is Form.SUM:
        return Kind.COMBINED_TYPE_EXTENDED
    if new.form is Form.EXCLUSIVE_SUM and len(old.parts) == 1:
        return Kind.COMBINED_TYPE_EXTENDED
    if new.form is Form.PRODUCT and len(old.parts) == 1 and len(new.parts) == 1:
        return Kind.COMBINED_TYPE_EXTENDED
    return Kind.COMBINED_TYPE_CHANGED


def parts_change(old: Shape, new: Shape) -> Kind | None:
    """More parts restrict a product and widen a sum."""
    if len(old.parts) == len(new.parts):
        return None
    grown = len(old.parts) < len(new.parts)
    if new.form is Form.PRODUCT:
        return Kind.PRODUCT_TYPE_EXTENDED if grown else Kind.PRODUCT_TYPE_NARROWED
    return Kind.SUM_TYPE_EXTENDED if grown else Kind.SUM_TYPE_NARROWED
