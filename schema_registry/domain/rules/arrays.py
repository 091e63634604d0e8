"""Rules for arrays: items by position, the rest of them, and their number."""

from collections.abc import Iterator
from typing import Any

from schema_registry.domain.differences import Difference, Kind
from schema_registry.domain.documents import Contents, Node
from schema_registry.domain.rules.bounds import Path, bounds, difference
from schema_registry.domain.rules.objects import Comparing
from schema_registry.domain.shapes import identity, mentions_references

ARRAY_BOUNDS = {"maxItems": "MAX_ITEMS", "minItems": "MIN_ITEMS"}
CONTAINS = ("contains", "minContains", "maxContains")


class Items:
    """The keywords of one array schema, the same for every draft: items by position, then all others."""

    def __init__(self, node: Node) -> None:
        self.node = node
        keywords: dict[str, Any] = node.contents if isinstance(node.contents, dict) else {}
        self.keywords = keywords
        items = keywords.get("items", True)
        if isinstance(items, list):
            self.first: list[Contents] = items
            self.rest: Contents = keywords.get("additionalItems", True)
        else:
            self.first = keywords.get("prefixItems", [])
            self.rest = items

    @property
    def permits_rest(self) -> bool:
        return self.rest is not False

    @property
    def restricts_rest(self) -> bool:
        return isinstance(self.rest, dict) and bool(self.rest)

    @property
    def is_open(self) -> bool:
        return self.permits_rest and not self.restricts_rest

    def at(self, index: int) -> Node:
        return self.node.child(self.first[index])

    def all_others(self) -> Node:
        return self.node.child(self.rest)


def compare_arrays(comparing: Comparing, original: Node, update: Node, path: Path) -> Iterator[Difference]:
    old, new = Items(original), Items(update)
    for index in range(max(len(old.first), len(new.first))):
        at = (*path, "items", str(index))
        if index >= len(new.first):
            yield from item_removed(comparing, old, new, index, at)
        elif index >= len(old.first):
            yield from item_added(comparing, old, new, index, at)
        else:
            yield from comparing.compare(old.at(index), new.at(index), at)
    if old.first or new.first:
        yield from additional_items(comparing, old, new, (*path, "additionalItems"))
    else:
        yield from all_items(comparing, old, new, (*path, "items"))
    yield from bounds(ARRAY_BOUNDS, old.keywords, new.keywords, path)
    yield from unique_items(old, new, path)
    yield from contains(old, new, path)


def all_items(comparing: Comparing, old: Items, new: Items, at: Path) -> Iterator[Difference]:
    """One schema for every item."""
    if "items" not in old.keywords and "items" not in new.keywords:
        return
    if "items" not in old.keywords:
        if not comparing.is_anything(new.all_others()):
            yield difference(Kind.SCHEMA_ADDED, at)
    elif "items" not in new.keywords:
        yield difference(Kind.SCHEMA_REMOVED, at)
    else:
        yield from comparing.compare(old.all_others(), new.all_others(), at)


def item_removed(comparing: Comparing, old: Items, new: Items, index: int, at: Path) -> Iterator[Difference]:
    """The update says something about this position only by what it says about the rest."""
    gone = old.at(index)
    if new.is_open:
        yield difference(Kind.ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL, at)
    elif new.permits_rest:
        found = comparing.compare(gone, new.all_others(), at)
        yield from found
        yield difference(
            Kind.ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL
            if all(d.compatible for d in found)
            else Kind.ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
            at,
        )
    elif comparing.is_nothing(gone):
        yield difference(Kind.ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL, at)
    else:
        yield difference(Kind.ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL, at)


def item_added(comparing: Comparing, old: Items, new: Items, index: int, at: Path) -> Iterator[Difference]:
    """Old data may hold at this position whatever the original allowed for the rest."""
    added = new.at(index)
    if old.is_open:
        yield difference(
            Kind.ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL
            if comparing.is_anything(added)
            else Kind.ITEM_ADDED_TO_OPEN_CONTENT_MODEL,
            at,
        )
    elif old.permits_rest:
        found = comparing.compare(old.all_others(), added, at)
        yield from found
        yield difference(
            Kind.ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL
            if all(d.compatible for d in found)
            else Kind.ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
            at,
        )
    else:
        yield difference(Kind.ITEM_ADDED_TO_CLOSED_CONTENT_MODEL, at)


def additional_items(comparing: Comparing, old: Items, new: Items, at: Path) -> Iterator[Difference]:
    if old.permits_rest != new.permits_rest:
        yield difference(
            Kind.ADDITIONAL_ITEMS_ADDED if new.permits_rest else Kind.ADDITIONAL_ITEMS_REMOVED, at
        )
    elif not old.restricts_rest and new.restricts_rest:
        yield difference(Kind.ADDITIONAL_ITEMS_NARROWED, at)
    elif old.restricts_rest and not new.restricts_rest:
        yield difference(Kind.ADDITIONAL_ITEMS_EXTENDED, at)
    elif old.restricts_rest:
        yield from comparing.compare(old.all_others(), new.all_others(), at)


def unique_items(old: Items, new: Items, path: Path) -> Iterator[Difference]:
    before, after = bool(old.keywords.get("uniqueItems")), bool(new.keywords.get("uniqueItems"))
    if before != after:
        kind = Kind.UNIQUE_ITEMS_ADDED if after else Kind.UNIQUE_ITEMS_REMOVED
        yield difference(kind, (*path, "uniqueItems"))


def contains(old: Items, new: Items, path: Path) -> Iterator[Difference]:
    """What must be among the items: kept word for word, or gone."""
    if "contains" not in new.keywords:
        return
    before = {key: old.keywords[key] for key in CONTAINS if key in old.keywords}
    after = {key: new.keywords[key] for key in CONTAINS if key in new.keywords}
    if identity(before) != identity(after) or mentions_references(after):
        yield difference(Kind.KEYWORD_NOT_COMPARED, (*path, "contains"))
