"""Rows to the broker: one batch per partition, acknowledged by all replicas, never out of order."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import asyncpg
import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from service_kit.events import moment_text, type_name
from service_kit.settings import ServiceSettings
from service_kit.telemetry import OUTBOX_SENT

log = structlog.get_logger(__name__)

BATCH_BYTES = 256 * 1024
ANSWER_S = 10
COMPRESSION = "lz4"
"""Two or three times less to write and keep; the cost is below what the smaller requests save."""


TRACES = (
    ("correlationid", "correlation_id"),
    ("causationid", "causation_id"),
    ("traceparent", "traceparent"),
)

_partitioner = DefaultPartitioner()


@lru_cache(maxsize=65_536)
def _place_of(key: bytes, partitions: int) -> int:
    """Where every Kafka client puts this key; kept, as the hash is dear and a key has several facts."""
    numbers = list(range(partitions))
    found: int = _partitioner(key, numbers, numbers)
    return found


@lru_cache(maxsize=1000)
def _moment(moment: datetime) -> bytes:
    return moment_text(moment).encode()


class _Form(NamedTuple):
    """What all facts of one version of one event have in common on the broker."""

    frame: bytes
    headers: tuple[tuple[str, bytes], ...]


class Sender:
    """An idempotent producer: after an error nothing more is sent by it, and the cursor tells what is."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._framing = settings.topic_framing
        self._source = f"/{settings.name}".encode()
        registry = settings.public_urls.get("registry", settings.registry_url)
        self._schemas = f"{registry}/schemas/ids/".encode()
        self._forms: dict[tuple[str, str, int, int | None], _Form] = {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_servers,
            client_id=f"{settings.name}-relay",
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
            compression_type=COMPRESSION,
            request_timeout_ms=ANSWER_S * 1000,
        )

    async def start(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            await self._producer.start()

    async def send(self, rows: Sequence[asyncpg.Record]) -> None:
        """Returns when the broker has all of them. Raises `KafkaError` when it has not."""
        by_partition: dict[tuple[str, int], list[asyncpg.Record]] = defaultdict(list)
        partitions: dict[str, list[int]] = {}
        for row in rows:
            topic = row["topic"]
            if topic not in partitions:
                partitions[topic] = sorted(await self._producer.partitions_for(topic))
            number = _place_of(row["key"].encode(), len(partitions[topic]))
            by_partition[topic, partitions[topic][number]].append(row)
        await asyncio.gather(*(self._send_in_order(*place, mine) for place, mine in by_partition.items()))
        for (topic, _), mine in by_partition.items():
            OUTBOX_SENT.labels(topic).inc(len(mine))

    async def _send_in_order(self, topic: str, partition: int, rows: Sequence[asyncpg.Record]) -> None:
        """The producer keeps one batch of a partition on its way, so that the order holds."""
        answers = []
        batch = self._producer.create_batch()
        for row in rows:
            record = self._record(row)
            if batch.append(**record) is None:
                answers.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                # The first record of a batch is always taken, however large.
                batch.append(**record)
        answers.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*answers)

    async def close_at_once(self) -> None:
        """A producer of a broker that is gone would wait for its unsent records; the cursor has them."""
        try:
            async with asyncio.timeout(2):
                await self._producer.stop()
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("producer_not_closed_cleanly", error=type(error).__name__)

    def _record(self, row: asyncpg.Record) -> dict[str, Any]:
        key = row["key"].encode()
        form = self._form(row["topic"], row["name"], row["version"], row["schema_id"])
        if row["headers"] is not None:
            # asyncpg answers jsonb as text.
            headers = [(name, str(value).encode()) for name, value in orjson.loads(row["headers"]).items()]
        else:
            headers = [
                *form.headers,
                ("ce_id", str(row["event_id"]).encode()),
                ("ce_time", _moment(row["occurred_at"])),
                ("ce_subject", key),
            ]
            for name, column in TRACES:
                if (value := row[column]) is not None:
                    headers.append((name, value.encode()))
        return {"timestamp": None, "key": key, "value": form.frame + row["data"], "headers": headers}

    def _form(self, topic: str, name: str, version: int, schema_id: int | None) -> _Form:
        kind = topic, name, version, schema_id
        if kind not in self._forms:
            plain = self._framing.get(topic) == "plain"
            self._forms[kind] = _Form(
                b"" if schema_id is None or plain else b"\x00" + schema_id.to_bytes(4, "big"),
                (
                    ("ce_specversion", b"1.0"),
                    ("ce_type", type_name(topic, name, version).encode()),
                    ("ce_source", self._source),
                    ("ce_dataschema", self._schemas + str(schema_id).encode()),
                    ("content-type", b"application/json"),
                ),
            )
        return self._forms[kind]
