"""Every rule in every draft that has it, and proof that a rule turned over would be noticed."""

import json
from collections import defaultdict

import pytest

from schema_registry.domain import differences as table
from schema_registry.domain.comparison import differences
from schema_registry.domain.differences import COMPATIBLE, LENIENTLY_COMPATIBLE, Difference, Kind
from schema_registry.domain.documents import read_document
from tests.schema_registry.vectors import Vector, vectors

VECTORS = vectors()

OF_METADATA = {Kind.RESERVED_PROPERTY_REMOVED, Kind.RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY}
"""No pair of schemas has these; `test_configuration.py` has them."""

SAID_BESIDE_THEIR_REASON = {
    Kind.PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    Kind.PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    Kind.ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    Kind.ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    Kind.PATTERN_PROPERTY_NOT_COVERED,
}
"""The difference inside, which is the reason, is refused as well; turned over they change no verdict."""


def found(vector: Vector, *, lenient: bool = False) -> list[Difference]:
    original, update = (read_document(json.dumps(one)) for one in (vector.original, vector.update))
    return differences(original, update, lenient=lenient)


def passes(vector: Vector, *, lenient: bool = False) -> bool:
    return all(one.compatible for one in found(vector, lenient=lenient))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector.id))
def test_vector(vector: Vector) -> None:
    """The change is called by its rule, and passes or not as the vector says."""
    assert vector.rule in {one.kind for one in found(vector)}
    assert passes(vector) is vector.passes


def test_there_are_vectors_enough() -> None:
    """Three hundred and more, no two alike, and one for every rule."""
    assert len({vector.id for vector in VECTORS}) == len(VECTORS) >= 300
    assert {vector.rule for vector in VECTORS} == set(Kind) - OF_METADATA


@pytest.mark.parametrize(
    "kind", [kind for kind in Kind if kind not in SAID_BESIDE_THEIR_REASON | OF_METADATA]
)
def test_a_rule_turned_over_is_noticed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the verdict of one kind turned over at least one vector fails."""
    monkeypatch.setattr(table, "COMPATIBLE", COMPATIBLE ^ {kind})
    suspects = [vector for vector in VECTORS if vector.rule == kind]
    assert any(passes(vector) is not vector.passes for vector in suspects)


def test_lenient_lets_its_kinds_pass_and_no_others() -> None:
    """Of the vectors that are refused, those pass leniently whose every reason is on the list."""
    verdicts: dict[bool, set[str]] = defaultdict(set)
    for vector in VECTORS:
        reasons = {one.kind for one in found(vector) if not one.compatible}
        assert passes(vector, lenient=True) is (reasons <= LENIENTLY_COMPATIBLE), vector.id
        verdicts[passes(vector, lenient=True)].add(vector.rule)
    assert "ADDITIONAL_PROPERTIES_REMOVED" in verdicts[True]
    assert "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" in verdicts[False]
