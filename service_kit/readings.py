"""Which version of which event a consumer came by last, told where its offsets are: as their metadata.

A consumer commits its offsets to the broker anyway, and each of them has room for a note. So the note costs
no call of its own, no table and no right, cannot hold up an event, and whoever may look at a group's offsets
can read it. It lives as long as the offsets do; without them the consumer reads everything again, and tells
it again.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from service_kit.broker import Cluster
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

NOTE_BYTES_MAX = 4000
"""Brokers take 4,096 by default (`offset.metadata.max.bytes`)."""

ASKING_S = 3.0
HOLD_S = 5.0
"""Whoever asks again so soon is told the same."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How far one group of consumers is with one version of one event."""

    read_at: datetime | None
    """When it last acted on one; None where it let them all pass."""
    said_at: datetime
    """When the latest that it came by was sent."""


@dataclass(slots=True)
class _Mark:
    """The same in seconds since 1970; 0 where nothing was read."""

    read_s: int = 0
    said_s: int = 0

    def raised(self, read_s: int, said_s: int) -> None:
        self.read_s = max(self.read_s, read_s)
        self.said_s = max(self.said_s, said_s)


class Notes:
    """What one consumer came by, for each partition that it reads, by the types of events."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, int], dict[str, _Mark]] = {}

    def read(self, topic: str, partition: int, type_name: str, sent_ms: int) -> None:
        """An event was handled, and its effect is committed."""
        self._mark(topic, partition, type_name).raised(int(time.time()), sent_ms // 1000)

    def passed(self, topic: str, partition: int, type_name: str, sent_ms: int) -> None:
        """A record went by of a type that this consumer does not hear."""
        self._mark(topic, partition, type_name).raised(0, sent_ms // 1000)

    def take_over(self, place: TopicPartition, note: str) -> None:
        """Go on from what was noted before, by this process or another."""
        for type_name, (read_s, said_s) in _marks_in(note).items():
            self._mark(place.topic, place.partition, type_name).raised(read_s, said_s)

    def written(self, place: TopicPartition) -> str:
        """The note of a partition; types that went by longest ago are left out where there are too many."""
        marks = self._marks.get((place.topic, place.partition), {})
        latest = sorted(marks.items(), key=lambda one: one[1].said_s, reverse=True)
        while True:
            note = orjson.dumps({name: [mark.read_s, mark.said_s] for name, mark in latest})
            if len(note) <= NOTE_BYTES_MAX:
                return note.decode() if latest else ""
            latest = latest[: len(latest) * 3 // 4]

    def _mark(self, topic: str, partition: int, type_name: str) -> _Mark:
        return self._marks.setdefault((topic, partition), {}).setdefault(type_name, _Mark())


class Readers:
    """What groups of consumers noted, asked of the broker when somebody wants to know."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._asking = asyncio.Lock()
        self._cluster: Cluster | None = None
        self._known: dict[str, dict[str, Reading]] | None = None
        self._asked_at = float("-inf")

    async def readings(self, groups: Iterable[str]) -> Mapping[str, Mapping[str, Reading]] | None:
        """By group and type of event; None while the broker does not answer.

        A group without offsets has read nothing. Always ask for the same groups: answers are held for a
        moment.
        """
        async with self._asking:
            if time.monotonic() - self._asked_at > HOLD_S:
                try:
                    async with asyncio.timeout(ASKING_S):
                        self._known = await self._asked(groups)
                except (KafkaError, TimeoutError, OSError) as error:
                    log.info("readings_unknown", error=type(error).__name__)
                    self._known = None
                    await self.close()
                self._asked_at = time.monotonic()
            return self._known

    async def close(self) -> None:
        if self._cluster is not None:
            await self._cluster.stop()
            self._cluster = None

    async def _asked(self, groups: Iterable[str]) -> dict[str, dict[str, Reading]]:
        if self._cluster is None:
            self._cluster = Cluster(self._settings)
            await self._cluster.start()
        return {group: readings_in((await self._cluster.noted(group)).values()) for group in sorted(groups)}


def readings_in(notes: Iterable[str]) -> dict[str, Reading]:
    """The notes of a group's partitions as one, by the types of events."""
    marks: dict[str, _Mark] = {}
    for note in notes:
        for type_name, (read_s, said_s) in _marks_in(note).items():
            marks.setdefault(type_name, _Mark()).raised(read_s, said_s)
    return {
        type_name: Reading(
            read_at=datetime.fromtimestamp(mark.read_s, UTC) if mark.read_s else None,
            said_at=datetime.fromtimestamp(mark.said_s, UTC),
        )
        for type_name, mark in marks.items()
    }


def _marks_in(note: str) -> dict[str, tuple[int, int]]:
    """Nothing where the note is none of ours: every client may write what it likes there."""
    try:
        found = orjson.loads(note)
        return {str(name): (_seconds(read_s), _seconds(said_s)) for name, (read_s, said_s) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _seconds(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 33:
        raise ValueError(value)
    return value
