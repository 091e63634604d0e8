"""Hears the facts about accounts and sessions in a web process, straight from the broker.

Not through the worker's consumer: there a block would wait behind whatever else is to be handled. There is
no group and no offset to commit; a process that starts reads the last ten minutes again.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from service_kit.events import Event
from service_kit.identity.denials import HEARD, KEPT_S, Denials
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

FRAME_BYTES = 5
FETCH_WAIT_MS = 250
FETCH_BYTES = 1024 * 1024
"""The broker answers when there is so much, or when so long has passed. Answered at once, each sign-in of
anybody would wake every web process of the exchange; a block may take two seconds."""
METADATA_MS = 10_000
"""So often it is looked whether a topic has appeared or grown."""

AGAIN_AFTER_S = 2.0
OLD_AFTER = timedelta(hours=1)
"""Older facts come only when the outbox is sent anew to another cluster: they would deny what holds today."""

TOPICS = sorted({event.topic for event in HEARD})
TYPES: Mapping[str, type[Event]] = {event.type_name(): event for event in HEARD}


async def hear_denials(settings: ServiceSettings, denials: Denials) -> None:
    """Hear until cancelled. While the broker is away what was heard stays, and tokens end by themselves."""
    positions: dict[TopicPartition, int] = {}
    while True:
        # Without a group every process hears everything, and partitions that are added later as well.
        consumer = AIOKafkaConsumer(
            *TOPICS,
            bootstrap_servers=settings.kafka_servers,
            client_id=f"{settings.name}-identity",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_min_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=METADATA_MS,
        )
        try:
            await consumer.start()
            await take_up(consumer, positions)
            async for record in consumer:
                fact = read_fact(record, settings)
                if fact is not None:
                    denials.hear(fact)
                positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("identity_facts_unheard", error=type(error).__name__)
        finally:
            await consumer.stop()
        await asyncio.sleep(AGAIN_AFTER_S)


async def take_up(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
    """Go on where we were; where we never were, begin ten minutes back."""
    assigned = consumer.assignment()
    new = [partition for partition in assigned if partition not in positions]
    since_ms = int((time.time() - KEPT_S) * 1000)
    # In this order: a fact that comes between the two questions lies behind the end that was told.
    ends = await consumer.end_offsets(new) if new else {}
    found = await consumer.offsets_for_times(dict.fromkeys(new, since_ms)) if new else {}
    for partition in new:
        first = found.get(partition)
        positions[partition] = ends[partition] if first is None else first.offset
    for partition in assigned:
        consumer.seek(partition, positions[partition])


def read_fact(record: ConsumerRecord, settings: ServiceSettings) -> Event | None:
    """The fact in a record of the broker; None for what says nothing about access, or is old."""
    headers = dict(record.headers)
    kind = TYPES.get(headers.get("ce_type", b"").decode(errors="replace"))
    if kind is None or record.value is None:
        return None
    framed = settings.topic_framing.get(record.topic, "confluent") == "confluent"
    try:
        said_at = datetime.fromisoformat(headers["ce_time"].decode())
        if said_at < datetime.now(UTC) - OLD_AFTER:
            return None
        return kind.model_validate_json(record.value[FRAME_BYTES if framed else 0 :])
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        log.warning("identity_fact_unread", type=kind.type_name(), error=type(error).__name__)
        return None
