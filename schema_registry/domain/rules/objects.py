"""Rules for objects: properties under open, closed and partially open content models."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import jsonschema_rs

from schema_registry.domain.differences import Difference, Kind
from schema_registry.domain.documents import Contents, Node
from schema_registry.domain.rules.bounds import Path, bounds, difference
from schema_registry.domain.shapes import identity, mentions_references

BACKTRACK_MAX = 100_000
PROGRAM_BYTES_MAX = 1_000_000

OBJECT_BOUNDS = {"maxProperties": "MAX_PROPERTIES", "minProperties": "MIN_PROPERTIES"}


class Comparing(Protocol):
    """What rules ask of the comparison that calls them."""

    def compare(self, original: Node, update: Node, path: Path) -> list[Difference]: ...
    def is_anything(self, node: Node) -> bool: ...
    def is_nothing(self, node: Node) -> bool: ...


class Content:
    """The keywords of one object schema, read as its content model."""

    def __init__(self, node: Node) -> None:
        self.node = node
        keywords: dict[str, Any] = node.contents if isinstance(node.contents, dict) else {}
        self.keywords = keywords
        self.properties: dict[str, Contents] = keywords.get("properties", {})
        self.patterns: dict[str, Contents] = keywords.get("patternProperties", {})
        self.required = frozenset(_required(keywords))
        self.others: Contents = keywords.get("additionalProperties", True)

    @property
    def permits_others(self) -> bool:
        return self.others is not False

    @property
    def restricts_others(self) -> bool:
        """Whether properties that are not named must fit a schema."""
        return isinstance(self.others, dict) and bool(self.others)

    @property
    def is_open(self) -> bool:
        return not self.patterns and self.permits_others and not self.restricts_others

    def surely_covering(self, name: str) -> list[Contents]:
        """What a property that is not named is known to fit: its patterns, or else the schema of the rest."""
        matches = {pattern: _matches(pattern, name) for pattern in self.patterns}
        if any(match is not False for match in matches.values()):
            return [self.patterns[pattern] for pattern, match in matches.items() if match]
        return [self.others] if self.restricts_others else []

    def possibly_covering(self, name: str) -> list[Contents]:
        """What a property that is not named may have to fit."""
        matches = {pattern: _matches(pattern, name) for pattern in self.patterns}
        found = [self.patterns[pattern] for pattern, match in matches.items() if match is not False]
        if True not in matches.values() and (self.restricts_others or (found and not self.permits_others)):
            found.append(self.others)
        return found

    def frees(self, name: str) -> bool:
        """Whether a property that is not named may hold anything, as far as can be told."""
        unsure = any(_matches(pattern, name) is None for pattern in self.patterns)
        return not self.surely_covering(name) and (self.permits_others or unsure)

    def has_default(self, name: str) -> bool:
        schema = self.properties.get(name)
        return isinstance(schema, dict) and "default" in schema


def compare_objects(comparing: Comparing, original: Node, update: Node, path: Path) -> Iterator[Difference]:
    old, new = Content(original), Content(update)
    yield from required(old, new, path)
    for name in sorted(old.properties.keys() | new.properties.keys()):
        at = (*path, "properties", name)
        if name not in new.properties:
            yield from property_removed(comparing, old, new, name, at)
        elif name not in old.properties:
            yield from property_added(comparing, old, new, name, at)
        else:
            yield from property_kept(comparing, old, new, name, at)
    yield from pattern_properties(comparing, old, new, path)
    yield from dependent_required(old, new, (*path, "dependencies"))
    yield from additional_properties(comparing, old, new, (*path, "additionalProperties"))
    yield from bounds(OBJECT_BOUNDS, old.keywords, new.keywords, path)
    yield from property_names(comparing, old, new, (*path, "propertyNames"))
    yield from schema_dependencies(old, new, path)


def required(old: Content, new: Content, path: Path) -> Iterator[Difference]:
    """A property may not become required, unless a default stands in for it.

    Properties that are new themselves are judged by `property_added`.
    """
    for name in sorted(old.required ^ new.required):
        at = (*path, "required", name)
        if name in old.required:
            if name in new.properties:
                yield difference(Kind.REQUIRED_ATTRIBUTE_REMOVED, at)
        elif name in new.properties and name not in old.properties:
            continue
        elif new.has_default(name):
            yield difference(Kind.REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED, at)
        else:
            yield difference(Kind.REQUIRED_ATTRIBUTE_ADDED, at)


def property_removed(
    comparing: Comparing, old: Content, new: Content, name: str, at: Path
) -> Iterator[Difference]:
    """What the update says about properties it does not name decides."""
    gone = old.node.child(old.properties[name])
    if new.is_open:
        yield difference(Kind.PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL, at)
        return
    covering = new.possibly_covering(name)
    if not covering:
        is_false = comparing.is_nothing(gone)
        yield difference(
            Kind.PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL
            if is_false
            else Kind.PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL,
            at,
        )
        return
    found = [d for schema in covering for d in comparing.compare(gone, new.node.child(schema), at)]
    yield from found
    yield difference(
        Kind.PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL
        if all(d.compatible for d in found)
        else Kind.PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
        at,
    )


def property_added(
    comparing: Comparing, old: Content, new: Content, name: str, at: Path
) -> Iterator[Difference]:
    """What the original said about properties it did not name decides: old data may hold anything there."""
    added = new.node.child(new.properties[name])
    if old.frees(name):
        yield difference(_added_to_open(comparing, old, new, name), at)
        return
    covering = old.surely_covering(name)
    if covering:
        trials = [comparing.compare(old.node.child(schema), added, at) for schema in covering]
        # All covering schemas hold at once, so it is enough that one of them is within the new one.
        found = next((trial for trial in trials if all(d.compatible for d in trial)), None)
        yield from trials[0] if found is None else found
        yield difference(
            Kind.PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL
            if found is None
            else Kind.PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
            at,
        )
    if name not in new.required or name in old.required:
        yield difference(Kind.OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL, at)
    elif new.has_default(name):
        yield difference(Kind.REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL, at)
    else:
        yield difference(Kind.REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL, at)


def _added_to_open(comparing: Comparing, old: Content, new: Content, name: str) -> Kind:
    newly_required = name in new.required and name not in old.required
    if comparing.is_anything(new.node.child(new.properties[name])):
        if not newly_required or new.has_default(name):
            return Kind.PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL
        return Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL
    if not newly_required:
        return Kind.OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL
    if new.has_default(name):
        return Kind.REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL
    return Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL


def property_kept(
    comparing: Comparing, old: Content, new: Content, name: str, at: Path
) -> Iterator[Difference]:
    yield from comparing.compare(
        old.node.child(old.properties[name]), new.node.child(new.properties[name]), at
    )


def pattern_properties(comparing: Comparing, old: Content, new: Content, path: Path) -> Iterator[Difference]:
    """Patterns that stay are compared, one that is added restricts, one that goes leaves all to the rest."""
    for pattern in sorted(old.patterns.keys() | new.patterns.keys()):
        at = (*path, "patternProperties", pattern)
        if pattern in old.patterns and pattern in new.patterns:
            yield from comparing.compare(
                old.node.child(old.patterns[pattern]), new.node.child(new.patterns[pattern]), at
            )
        elif pattern in new.patterns:
            if not comparing.is_anything(new.node.child(new.patterns[pattern])):
                yield difference(Kind.PATTERN_PROPERTY_ADDED, at)
        elif not new.permits_others or new.restricts_others:
            rest = new.node.child(new.others)
            found = comparing.compare(old.node.child(old.patterns[pattern]), rest, at)
            yield from found
            if not all(d.compatible for d in found):
                yield difference(Kind.PATTERN_PROPERTY_NOT_COVERED, at)


def additional_properties(comparing: Comparing, old: Content, new: Content, at: Path) -> Iterator[Difference]:
    """The schema of everything that is not named may only widen."""
    if old.permits_others != new.permits_others:
        if new.permits_others:
            yield difference(Kind.ADDITIONAL_PROPERTIES_ADDED, at)
        else:
            yield difference(Kind.ADDITIONAL_PROPERTIES_REMOVED, at)
    elif not old.restricts_others and new.restricts_others:
        yield difference(Kind.ADDITIONAL_PROPERTIES_NARROWED, at)
    elif old.restricts_others and not new.restricts_others:
        yield difference(Kind.ADDITIONAL_PROPERTIES_EXTENDED, at)
    elif old.restricts_others:
        yield from comparing.compare(old.node.child(old.others), new.node.child(new.others), at)


def dependent_required(old: Content, new: Content, path: Path) -> Iterator[Difference]:
    """What else must be there when a property is there: lists that may only shrink."""
    olds, news = _dependent_names(old.keywords), _dependent_names(new.keywords)
    for name in sorted(olds.keys() | news.keys()):
        before, after = olds.get(name), news.get(name)
        if before == after:
            continue
        if after is None:
            kind = Kind.DEPENDENCY_ARRAY_REMOVED
        elif before is None:
            kind = Kind.DEPENDENCY_ARRAY_ADDED
        elif before < after:
            kind = Kind.DEPENDENCY_ARRAY_EXTENDED
        elif before > after:
            kind = Kind.DEPENDENCY_ARRAY_NARROWED
        else:
            kind = Kind.DEPENDENCY_ARRAY_CHANGED
        yield difference(kind, (*path, name))


def property_names(comparing: Comparing, old: Content, new: Content, at: Path) -> Iterator[Difference]:
    if "propertyNames" in new.keywords:
        names = old.node.child(old.keywords.get("propertyNames", True))
        yield from comparing.compare(names, new.node.child(new.keywords["propertyNames"]), at)


def schema_dependencies(old: Content, new: Content, path: Path) -> Iterator[Difference]:
    """Schemas that hold when a property is there: kept word for word, or gone."""
    olds, news = _dependent_schemas(old.keywords), _dependent_schemas(new.keywords)
    for name, schema in sorted(news.items(), key=lambda item: item[0]):
        if name in olds and identity(olds[name]) == identity(schema) and not mentions_references(schema):
            continue
        yield difference(Kind.KEYWORD_NOT_COMPARED, (*path, "dependencies", name))


def _required(keywords: dict[str, Any]) -> list[str]:
    found = keywords.get("required", [])
    return found if isinstance(found, list) else []


def _dependent_names(keywords: dict[str, Any]) -> dict[str, frozenset[str]]:
    both = keywords.get("dependencies", {}) | keywords.get("dependentRequired", {})
    return {name: frozenset(names) for name, names in both.items() if isinstance(names, list)}


def _dependent_schemas(keywords: dict[str, Any]) -> dict[str, Any]:
    both = keywords.get("dependencies", {}) | keywords.get("dependentSchemas", {})
    return {name: schema for name, schema in both.items() if not isinstance(schema, list)}


def _matches(pattern: str, name: str) -> bool | None:
    """Whether a name falls under a pattern, by the engine that validates data; None where it cannot tell.

    Its work is bounded: a pattern that would try for ever ends as "cannot tell".
    """
    try:
        found: bool = _matcher(pattern).is_valid(name)
    except (ValueError, jsonschema_rs.ValidationError):
        return None
    else:
        return found


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Any:
    options = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_MAX, size_limit=PROGRAM_BYTES_MAX)
    return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
