"""The last records of topics and those that come, for people who look on: beside all consumers, moving none.

There is one reader for each topic that somebody looks at, however many look. It ends when nobody has asked
for a while.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from service_kit.errors import Unavailable
from service_kit.records import framed, headers_of
from service_kit.settings import ServiceSettings
from service_kit.text import message as _

log = structlog.get_logger(__name__)

KEPT = 200
"""Records of a topic that are held, the latest ones."""

VALUE_BYTES_MAX = 64 * 1024
IDLE_S = 30.0
"""A reader ends so long after the last question."""

ANSWER_S = 10.0
POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it lies in the topic."""

    partition: int
    offset: int
    sent_at: datetime
    key: str
    headers: Mapping[str, str]
    schema_id: int | None
    """None where the value has no frame."""
    data: str
    cut: bool
    """Whether the value is longer than what is shown of it."""


class Tails:
    """The tails of some topics in this process."""

    def __init__(self, settings: ServiceSettings, *, idle_s: float = IDLE_S) -> None:
        self._settings = settings
        self._idle_s = idle_s
        self._tails: dict[str, _Tail] = {}

    async def records(self, topic: str) -> list[Seen]:
        """The latest records, the newest first. Raises `Unavailable` while the broker does not answer."""
        tail = self._tails.get(topic)
        if tail is None or tail.reading.done():
            tail = self._tails[topic] = _Tail(self._settings, topic, self._idle_s)
        tail.asked_at = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S):
                await asyncio.shield(tail.caught_up)
        except (KafkaError, TimeoutError, OSError) as error:
            raise Unavailable(_("The broker does not answer at the moment.")) from error
        return list(reversed(tail.kept))

    async def close(self) -> None:
        for tail in self._tails.values():
            tail.reading.cancel()
        await asyncio.gather(*(tail.reading for tail in self._tails.values()), return_exceptions=True)


class _Tail:
    def __init__(self, settings: ServiceSettings, topic: str, idle_s: float) -> None:
        self._settings = settings
        self._topic = topic
        self._idle_s = idle_s
        self.kept: deque[Seen] = deque(maxlen=KEPT)
        self.asked_at = time.monotonic()
        self.caught_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            self._topic,
            bootstrap_servers=self._settings.kafka_servers,
            client_id=f"{self._settings.name}-tail",
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                await consumer.start()
            await self._follow(consumer)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("tail_unread", topic=self._topic, error=type(error).__name__)
            if not self.caught_up.done():
                self.caught_up.set_exception(error)
        finally:
            if not self.caught_up.done():
                self.caught_up.set_exception(TimeoutError("the reading has ended"))
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        partitions = list(consumer.assignment())
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for one in partitions:
            consumer.seek(one, max(begins[one], ends[one] - KEPT))
        # What is there already is put in order over all partitions; later records come as they are sent.
        before: list[Seen] = []
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            before += await _more(consumer)
        self.kept.extend(sorted(before, key=lambda one: one.sent_at))
        self.caught_up.set_result(None)
        while time.monotonic() - self.asked_at < self._idle_s:
            self.kept.extend(await _more(consumer))


async def _more(consumer: AIOKafkaConsumer) -> list[Seen]:
    found = await consumer.getmany(timeout_ms=POLL_MS, max_records=KEPT)
    seen = [_seen(record) for records in found.values() for record in records]
    return sorted(seen, key=lambda one: one.sent_at)


def _seen(record: ConsumerRecord) -> Seen:
    schema_id, data = framed(record.value or b"")
    return Seen(
        partition=record.partition,
        offset=record.offset,
        sent_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        key=(record.key or b"").decode(errors="replace"),
        headers=headers_of(record),
        schema_id=schema_id,
        data=data[:VALUE_BYTES_MAX].decode(errors="replace"),
        cut=len(data) > VALUE_BYTES_MAX,
    )


def positions(records: Iterable[Seen]) -> dict[int, int]:
    """The latest offset of each partition: what somebody has seen so far."""
    found: dict[int, int] = {}
    for one in records:
        found[one.partition] = max(one.offset, found.get(one.partition, -1))
    return found
