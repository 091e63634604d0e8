"""Sends the outbox to Kafka in id order, and moves on only after the broker's answer.

One process at a time owns the relay of a database, by an advisory lock on a connection of its own. It reads
by a cursor on the id and never passes a gap before every transaction that might still fill it has ended;
reading by transaction id, or unlocked rows first, would invert the facts of one key (see decision 0002).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import BigInteger, Column, DateTime, Table, Text, text

from service_kit.broker import Cluster
from service_kit.database import kit_metadata, lock_key
from service_kit.events import moment_text, type_name
from service_kit.outbox import CHANNEL
from service_kit.settings import ServiceSettings
from service_kit.telemetry import OUTBOX_AGE, OUTBOX_BACKLOG, OUTBOX_SENT

log = structlog.get_logger()

relay_cursors = Table(
    "relay_cursors",
    kit_metadata,
    Column("relay", Text, primary_key=True),
    Column("position", BigInteger, nullable=False, comment="the broker has all up to this id"),
    Column("cluster_id", Text, comment="of the broker that has them; another id means: send again"),
    Column("moved_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)

RELAY = "outbox"
BATCH = 500
SLOW_POLL_S = 1.0
"""The net under a lost wake-up."""
GAP_POLL_S = 0.005
STANDBY_POLL_S = 1.0
CLUSTER_CHECK_S = 1.0
LONGEST_DELAY_S = 5.0

READ = """
select id, event_id, topic, key, name, version, schema_id, data, headers, occurred_at, correlation_id,
       causation_id, traceparent
from outbox where id > $1 order by id limit $2
"""


class NotTheOwner(Exception):
    """Another process holds the relay of this database."""


@dataclass
class _Gap:
    """Missing ids below `upto` may still be filled by a transaction with a number below `xmax`."""

    upto: int
    xmax: int


class Relay:
    """`run` sends for ever; it ends only by cancellation, and starts over after any trouble."""

    def __init__(self, settings: ServiceSettings, topics: Iterable[str]) -> None:
        self.settings = settings
        self._topics = sorted(set(topics))
        self._bell = asyncio.Event()
        self.owner = False
        self.backlog_since: datetime | None = None
        """When the oldest row not yet sent was recorded; None when there is none."""

    async def run(self) -> None:
        delay_s = 0.1
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._own_and_send()
            except NotTheOwner:
                await asyncio.sleep(STANDBY_POLL_S)
                delay_s = 0.1
                continue
            except (
                KafkaError,
                TimeoutError,
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                # What the driver calls a connection that is cut in the middle of a call.
                asyncpg.InternalClientError,
            ) as error:
                log.warning("relay_interrupted", error=type(error).__name__, detail=str(error)[:300])
            finally:
                self.owner = False
            if asyncio.get_running_loop().time() - started > LONGEST_DELAY_S * 2:
                delay_s = 0.1
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _own_and_send(self) -> None:
        connection = await asyncpg.connect(self.settings.database_url.get_secret_value(), timeout=10)
        try:
            key = lock_key(f"relay:{RELAY}")
            if not await connection.fetchval("select pg_try_advisory_lock($1)", key):
                raise NotTheOwner
            self.owner = True
            await connection.add_listener(CHANNEL, self._ring)
            cluster = Cluster(self.settings)
            producer = AIOKafkaProducer(
                bootstrap_servers=self.settings.kafka_servers,
                client_id=f"{self.settings.name}-relay",
                enable_idempotence=True,
                acks="all",
                linger_ms=0,
                max_batch_size=256 * 1024,
                request_timeout_ms=10_000,
            )
            try:
                await cluster.start()
                await cluster.declare(self._topics)
                await asyncio.wait_for(producer.start(), 10)
                await _Sending(self, connection, cluster, producer, self._bell).run(self._topics)
            finally:
                # A producer of a broker that is gone would wait for its unsent records; the cursor has them.
                await _close_at_once(producer)
                await cluster.stop()
        finally:
            connection.terminate()

    def _ring(self, *_: Any) -> None:
        self._bell.set()


class _Sending:
    """One stretch of sending, from taking the ownership to the first trouble."""

    def __init__(
        self,
        relay: Relay,
        connection: asyncpg.Connection,
        cluster: Cluster,
        producer: AIOKafkaProducer,
        bell: asyncio.Event,
    ) -> None:
        self._relay = relay
        self._connection = connection
        self._cluster = cluster
        self._producer = producer
        self._bell = bell
        settings = relay.settings
        self._framing = settings.topic_framing
        self._source = f"/{settings.name}"
        self._registry = settings.public_urls.get("registry", settings.registry_url)
        self._position = 0
        self._settled = 0
        self._gap: _Gap | None = None
        self._cluster_checked_at = 0.0
        self._measured_at = 0.0

    async def run(self, topics: Sequence[str]) -> None:
        await self._load_position(topics)
        while True:
            self._bell.clear()
            await self._check_cluster()
            rows = await self._read_settled()
            if rows:
                await self._send(rows)
            # Waiting at a gap asks many times a second, and has nothing new to tell.
            await self._measure(idle=not rows and self._gap is None)
            if rows:
                continue
            wait_s = GAP_POLL_S if self._gap else SLOW_POLL_S
            try:
                await asyncio.wait_for(self._bell.wait(), wait_s)
            except TimeoutError:
                if self._connection.is_closed():
                    raise ConnectionError("the relay's connection is closed") from None

    async def _load_position(self, topics: Sequence[str]) -> None:
        current = await self._cluster.id()
        row = await self._connection.fetchrow(
            "select position, cluster_id from relay_cursors where relay = $1", RELAY
        )
        if row is None:
            await self._connection.execute(
                "insert into relay_cursors (relay, position, cluster_id) values ($1, 0, $2)", RELAY, current
            )
        elif row["cluster_id"] != current:
            log.error("broker_is_another_cluster", before=row["cluster_id"], now=current, topics=list(topics))
            await self._connection.execute(
                "update relay_cursors set position = 0, cluster_id = $2, moved_at = clock_timestamp()"
                " where relay = $1",
                RELAY,
                current,
            )
        else:
            self._position = row["position"]
        self._settled = self._position
        self._cluster_id = current
        log.info("relay_started", position=self._position)

    async def _check_cluster(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._cluster_checked_at < CLUSTER_CHECK_S:
            return
        if await self._cluster.id() != self._cluster_id:
            raise ConnectionError("the broker is another cluster than before")
        self._cluster_checked_at = now

    async def _read_settled(self) -> list[asyncpg.Record]:
        """The next rows that no running transaction can still get in front of."""
        if self._gap is not None:
            xmin = await self._connection.fetchval(
                "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            )
            if xmin >= self._gap.xmax:
                self._settled = self._gap.upto
                self._gap = None
        rows = await self._connection.fetch(READ, self._position, BATCH)
        taken = []
        expected = self._position + 1
        for row in rows:
            if row["id"] != expected and row["id"] > self._settled:
                break
            taken.append(row)
            expected = row["id"] + 1
        if len(taken) < len(rows) and self._gap is None:
            # Asked after the read: whoever drew a missing id before the read has a number below this one.
            xmax = await self._connection.fetchval(
                "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            )
            self._gap = _Gap(upto=rows[-1]["id"], xmax=xmax)
        return taken

    async def _send(self, rows: Sequence[asyncpg.Record]) -> None:
        acknowledged = [
            await self._producer.send(
                row["topic"], self._value(row), key=row["key"].encode(), headers=self._headers(row)
            )
            for row in rows
        ]
        await asyncio.gather(*acknowledged)
        self._position = rows[-1]["id"]
        await self._connection.execute(
            "update relay_cursors set position = $2, moved_at = clock_timestamp() where relay = $1",
            RELAY,
            self._position,
        )
        for row in rows:
            OUTBOX_SENT.labels(row["topic"]).inc()

    def _value(self, row: asyncpg.Record) -> bytes:
        data: bytes = row["data"]
        if row["schema_id"] is None or self._framing.get(row["topic"]) == "plain":
            return data
        return b"\x00" + int(row["schema_id"]).to_bytes(4, "big") + data

    def _headers(self, row: asyncpg.Record) -> list[tuple[str, bytes]]:
        if row["headers"] is not None:
            # asyncpg answers jsonb as text.
            return [(name, str(value).encode()) for name, value in orjson.loads(row["headers"]).items()]
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(row["event_id"]),
            "ce_type": type_name(row["topic"], row["name"], row["version"]),
            "ce_source": self._source,
            "ce_time": moment_text(row["occurred_at"]),
            "ce_subject": row["key"],
            "ce_dataschema": f"{self._registry}/schemas/ids/{row['schema_id']}",
            "content-type": "application/json",
            "correlationid": row["correlation_id"],
            "causationid": row["causation_id"],
            "traceparent": row["traceparent"],
        }
        return [(name, value.encode()) for name, value in headers.items() if value is not None]

    async def _measure(self, *, idle: bool) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured_at < SLOW_POLL_S and not idle:
            return
        self._measured_at = now
        row = await self._connection.fetchrow(
            "select (select recorded_at from outbox where id > $1 order by id limit 1) as oldest,"
            " coalesce((select max(id) from outbox), 0) - $1 as backlog",
            self._position,
        )
        oldest = row["oldest"]
        self._relay.backlog_since = oldest
        OUTBOX_BACKLOG.set(max(0, row["backlog"]))
        OUTBOX_AGE.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)


async def _close_at_once(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 2)
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("producer_not_closed_cleanly", error=type(error).__name__)
