"""Reads topics again from their first event, beside the consumers and without moving them: for replays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from service_kit.consuming import EventRouter
from service_kit.events import Event, Received
from service_kit.records import Unreadable, event_of, framed, headers_of
from service_kit.settings import ServiceSettings

log = structlog.get_logger()

AT_ONCE = 5000
POLL_MS = 500
ANSWER_S = 30


class Rereader:
    """Everything a router hears. A record that no consumer could read is left out here as there."""

    def __init__(self, consumer: AIOKafkaConsumer, router: EventRouter) -> None:
        self._consumer = consumer
        self._router = router

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

    async def unread(self) -> AsyncIterator[Sequence[Received[Event]]]:
        """What the topics hold at this moment and was not read before, a few thousand at a time."""
        partitions = list(self._consumer.assignment())
        ends = await self._consumer.end_offsets(partitions)
        waiting = {one for one in partitions if await self._consumer.position(one) < ends[one]}
        while waiting:
            found = await self._consumer.getmany(*waiting, timeout_ms=POLL_MS, max_records=AT_ONCE)
            events = [self._parsed(record) for records in found.values() for record in records]
            yield [event for event in events if event is not None]
            waiting = {one for one in waiting if await self._consumer.position(one) < ends[one]}

    def _parsed(self, record: ConsumerRecord) -> Received[Event] | None:
        headers = headers_of(record)
        kind = self._router.event_of(headers.get("ce_type", ""))
        if kind is None:
            return None
        _schema_id, data = framed(record.value or b"")
        try:
            return event_of(record, kind, headers, data)
        except Unreadable as error:
            log.warning("unreadable_left_out", topic=record.topic, offset=record.offset, reason=error.reason)
            return None
