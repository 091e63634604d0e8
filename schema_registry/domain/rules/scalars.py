"""Rules for strings, numbers and fixed sets of values."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from schema_registry.domain.differences import Difference, Kind
from schema_registry.domain.rules.bounds import Path, bounds, difference
from schema_registry.domain.shapes import choices

Keywords = dict[str, Any]

STRING_BOUNDS = {"maxLength": "MAX_LENGTH", "minLength": "MIN_LENGTH"}
NUMBER_BOUNDS = {
    "maximum": "MAXIMUM",
    "minimum": "MINIMUM",
    "exclusiveMaximum": "EXCLUSIVE_MAXIMUM",
    "exclusiveMinimum": "EXCLUSIVE_MINIMUM",
}


def string(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    yield from bounds(STRING_BOUNDS, original, update, path)
    yield from pattern(original, update, path)


def pattern(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    """Different patterns are not compared further: inclusion of regular expressions is not ours to guess."""
    old, new = original.get("pattern"), update.get("pattern")
    if old == new:
        return
    kind = (
        Kind.PATTERN_ADDED if old is None else Kind.PATTERN_REMOVED if new is None else Kind.PATTERN_CHANGED
    )
    yield difference(kind, (*path, "pattern"))


def number(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    yield from bounds(NUMBER_BOUNDS, original, update, path)
    yield from multiple_of(original, update, path)
    yield from whole(original, update, path)


def multiple_of(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    old, new = original.get("multipleOf"), update.get("multipleOf")
    if old == new:
        return
    if old is None:
        kind = Kind.MULTIPLE_OF_ADDED
    elif new is None:
        kind = Kind.MULTIPLE_OF_REMOVED
    elif Fraction(str(new)) % Fraction(str(old)) == 0:
        kind = Kind.MULTIPLE_OF_EXPANDED
    elif Fraction(str(old)) % Fraction(str(new)) == 0:
        kind = Kind.MULTIPLE_OF_REDUCED
    else:
        kind = Kind.MULTIPLE_OF_CHANGED
    yield difference(kind, (*path, "multipleOf"))


def whole(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    """From integer to number is wider, the other way narrower."""
    old, new = original.get("type"), update.get("type")
    if old == "integer" and new != "integer":
        yield difference(Kind.TYPE_EXTENDED, path)
    elif new == "integer" and old != "integer":
        yield difference(Kind.TYPE_NARROWED, path)


def choice(original: Keywords, update: Keywords, path: Path) -> Iterator[Difference]:
    """`enum` and `const`: a set of values that may only grow."""
    old, new = choices(original).keys(), choices(update).keys()
    if old == new:
        return
    kind = (
        Kind.ENUM_ARRAY_EXTENDED
        if old < new
        else Kind.ENUM_ARRAY_NARROWED
        if old > new
        else Kind.ENUM_ARRAY_CHANGED
    )
    yield difference(kind, (*path, "const" if "const" in update else "enum"))
