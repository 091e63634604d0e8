"""Limits that may only loosen: lengths, sizes, numbers."""

from collections.abc import Iterator
from typing import Any

from schema_registry.domain.differences import Difference, Kind

Path = tuple[str, ...]


def difference(kind: Kind, path: Path) -> Difference:
    return Difference(kind, "#/" + "/".join(path))


def bound(
    original: dict[str, Any], update: dict[str, Any], keyword: str, name: str, path: Path
) -> Iterator[Difference]:
    """One limit added, removed, increased or decreased."""
    old, new = original.get(keyword), update.get(keyword)
    if old == new and isinstance(old, bool) == isinstance(new, bool):
        return
    if isinstance(old, bool) or isinstance(new, bool):
        # Draft 4 writes exclusive limits as a boolean beside the limit.
        change = "ADDED" if new is True else "REMOVED"
    elif old is None:
        change = "ADDED"
    elif new is None:
        change = "REMOVED"
    else:
        change = "INCREASED" if old < new else "DECREASED"
    yield difference(Kind[f"{name}_{change}"], (*path, keyword))


def bounds(
    names: dict[str, str], original: dict[str, Any], update: dict[str, Any], path: Path
) -> Iterator[Difference]:
    for keyword, name in names.items():
        yield from bound(original, update, keyword, name, path)
