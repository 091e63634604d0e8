"""Reads topics again from their first event, beside the consumers and without moving them: for replays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from service_kit.consuming import EventRouter
from service_kit.records import framed
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

AT_ONCE = 5000
POLL_MS = 500
ANSWER_S = 30


@dataclass(frozen=True, slots=True)
class Said:
    """A fact as it lies in its topic. Its data is not parsed yet: what is read again waits for its turn."""

    type_name: str
    event_id: UUID
    occurred_at: datetime
    raw: bytes
    """The JSON data without its frame."""


class Rereader:
    """Everything a router hears. A record whose headers no consumer could read is left out here as there."""

    def __init__(self, consumer: AIOKafkaConsumer, router: EventRouter) -> None:
        self._consumer = consumer
        self._heard = {event.type_name().encode(): event.type_name() for event in router.hears}

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: ServiceSettings, router: EventRouter) -> AsyncIterator[Self]:
        # Without a group it is given all partitions, and moves nobody's offsets.
        consumer = AIOKafkaConsumer(
            *sorted(router.topics),
            bootstrap_servers=settings.kafka_servers,
            client_id=f"{settings.name}-rereader",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        async with asyncio.timeout(ANSWER_S):
            await consumer.start()
        try:
            await consumer.seek_to_beginning()
            yield cls(consumer, router)
        finally:
            await consumer.stop()

    async def unread(self) -> AsyncIterator[Sequence[Said]]:
        """What the topics hold at this moment and was not read before, a few thousand at a time."""
        partitions = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(partitions)
        waiting = {one for one in partitions if await self._consumer.position(one) < ends[one]}
        while waiting:
            found = await self._consumer.getmany(*waiting, timeout_ms=POLL_MS, max_records=AT_ONCE)
            facts = [self._said(record) for records in found.values() for record in records]
            yield [fact for fact in facts if fact is not None]
            waiting = {one for one in waiting if await self._consumer.position(one) < ends[one]}

    def _said(self, record: ConsumerRecord) -> Said | None:
        headers = dict(record.headers)
        type_name = self._heard.get(headers.get("ce_type", b""))
        if type_name is None:
            return None
        try:
            event_id = UUID(headers["ce_id"].decode())
            occurred_at = datetime.fromisoformat(headers["ce_time"].decode())
        except (KeyError, ValueError) as error:
            log.warning("unreadable_left_out", topic=record.topic, offset=record.offset, reason=str(error))
            return None
        return Said(type_name, event_id, occurred_at, framed(record.value or b"")[1])
