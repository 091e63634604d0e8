"""Records of a topic as people look at them: which event each is, narrowed down, and what came since."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schema_registry.domain.contracts import Contract
from schema_registry.domain.fields import pretty


@dataclass(frozen=True, slots=True)
class Said:
    """Which version of which event a record is."""

    contract: Contract
    number: int


def events_by_type(contracts: Sequence[Contract]) -> dict[str, Said]:
    """By what stands in `ce_type`."""
    return {
        contract.type_name(version.number): Said(contract, version.number)
        for contract in contracts
        for version in contract.versions
    }


def fits(said: Said | None, event: str, words: str, texts: Sequence[str]) -> bool:
    """Whether a record is of that event (empty: of any) and has the words in one of its texts."""
    if event and (said is None or said.contract.name != event):
        return False
    return not words or any(words.lower() in text.lower() for text in texts)


def readable(data: str) -> str:
    """JSON with a line for each field; anything else as it is."""
    try:
        return pretty(json.loads(data))
    except (ValueError, RecursionError):
        return data


def mark_of(positions: Mapping[int, int]) -> str:
    """What somebody has seen, for an address: `0.41-2.7` is offset 41 of partition 0 and 7 of partition 2."""
    return "-".join(f"{partition}.{offset}" for partition, offset in sorted(positions.items()))


def seen_until(mark: str) -> dict[int, int]:
    """The positions of a mark; what cannot be read says nothing."""
    found = {}
    for part in mark.split("-"):
        partition, _point, offset = part.partition(".")
        if partition.isdecimal() and offset.isdecimal():
            found[int(partition)] = int(offset)
    return found
