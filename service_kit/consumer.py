"""Reads events in batches: parse, validate, one transaction for effect and proof, then the offsets.

Nothing an event does can acknowledge it: offsets are committed only after the transaction. What can never be
handled becomes a dead letter; trouble of database, registry or network is tried again with growing delay
while the partition waits, so that the order per key holds.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, RebalanceInProgressError
from opentelemetry import propagate, trace

from service_kit import telemetry
from service_kit.broker import Cluster
from service_kit.consuming import EventRouter
from service_kit.database import Database, will_pass
from service_kit.dead_letters import Undeliverable, put_aside
from service_kit.errors import ServiceError, Unavailable
from service_kit.events import Event, Received
from service_kit.inbox import first_time
from service_kit.records import Unreadable, event_of, framed, headers_of
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

log = structlog.get_logger()

BATCH = 500
POLL_MS = 250
COMMIT_S = 0.25
ASKING_S = 5.0
CLUSTER_CHECK_S = 1.0
LONGEST_DELAY_S = 10.0
DEAD_LETTERS_IN_A_ROW = 100
"""More than this without one good event between them is a fault of ours, not of the events."""

LINKS = 32


class TooManyDeadLetters(Exception):
    """The consumer stopped instead of draining the topic into dead letters."""


class BrokerReplaced(Exception):
    """The broker is another cluster than the one our positions belong to: only a new start cures that.

    A new process declares its topics, has no positions, and reads from the start what the relays send again.
    """


@dataclass
class _ClusterWatch:
    """Knows which cluster the positions of a consumer belong to.

    A consumer that outlives its broker goes on at its old place in the new log, and there it would skip
    events or read newer ones before older ones. So nothing that was fetched counts before the cluster was
    asked for; once a second is enough, as no broker is replaced in less.
    """

    broker: Cluster
    known: str
    asked_at: float = 0.0

    async def refuse_another(self) -> None:
        """Raise `BrokerReplaced`; wait while no broker answers."""
        while (now := time.monotonic()) - self.asked_at > CLUSTER_CHECK_S:
            try:
                found = await self.broker.id()
            except (KafkaError, TimeoutError, OSError) as error:
                log.info("broker_silent", error=type(error).__name__)
                await asyncio.sleep(CLUSTER_CHECK_S)
                continue
            if found != self.known:
                raise BrokerReplaced
            self.asked_at = now


@dataclass(frozen=True, slots=True)
class _Poison:
    """A record that can not even be read, and why."""

    record: ConsumerRecord
    reason: str
    detail: str


class BatchConsumer:
    """`run` consumes until it is cancelled. It raises on trouble with the broker that a new start cures."""

    def __init__(
        self,
        settings: ServiceSettings,
        database: Database,
        schemas: SchemaClient,
        router: EventRouter,
        *,
        instance: str | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._schemas = schemas
        self._router = router
        self._instance = instance
        self._consumer: AIOKafkaConsumer | None = None
        self._dead_in_a_row = 0
        self._in_hand = 0
        self._uncommitted: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self.stopped_because: str | None = None
        self.progress_at = time.time()
        """When a batch was last committed, or the topics were last seen to be empty."""

    async def run(self) -> None:
        broker = Cluster(self._settings)
        consumer = AIOKafkaConsumer(
            *sorted(self._router.topics),
            bootstrap_servers=self._settings.kafka_servers,
            group_id=self._settings.name,
            group_instance_id=self._instance,
            client_id=f"{self._settings.name}-consumer",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=250,
            metadata_max_age_ms=10_000,
        )
        try:
            await broker.start()
            # Also here: the broker may have been set up anew since the process declared its topics.
            await broker.declare(self._router.topics)
            await consumer.start()
            watch = _ClusterWatch(broker, await broker.id())
            self._consumer = consumer
            log.info("consumer_started", topics=sorted(self._router.topics))
            while True:
                await asyncio.sleep(self._settings.consumer_linger_s)
                batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH)
                await watch.refuse_another()
                self._measure(consumer)
                if batches:
                    records = [record for partition in batches.values() for record in partition]
                    self._in_hand = len(records)
                    await self._handle(records)
                    self._in_hand = 0
                    for partition, handled in batches.items():
                        self._uncommitted[partition] = handled[-1].offset + 1
                    self.progress_at = time.time()
                    telemetry.CONSUMER_PROGRESS.set(self.progress_at)
                elif self.lag() == 0:
                    self.progress_at = time.time()
                await self._commit(consumer, at_once=not batches)
        except TooManyDeadLetters as error:
            self.stopped_because = str(error)
            log.critical("consumer_stopped", reason=str(error))
            await asyncio.Event().wait()
        finally:
            self._consumer = None
            await broker.stop()
            await consumer.stop()

    def lag(self) -> int | None:
        """Events in our partitions that were not handled yet; None before the broker has told."""
        if self._consumer is None:
            return None
        if not all(self._consumer.partitions_for_topic(topic) for topic in self._router.topics):
            # A broker that was set up anew has no topics yet; to have read nothing is not to have read all.
            return None
        total = self._in_hand
        for partition in self._consumer.assignment():
            behind = _behind(self._consumer, partition)
            if behind is None:
                return None
            total += behind
        return total

    async def group_lag(self) -> int | None:
        """Events that no worker of the group has handled yet; None while the broker does not tell.

        Goes by the offsets that were committed, a moment after the events were handled.
        """
        if self._consumer is None:
            return None
        try:
            async with asyncio.timeout(ASKING_S):
                return await _unread(self._consumer, self._router.topics)
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("group_lag_unknown", error=type(error).__name__)
            return None

    def _measure(self, consumer: AIOKafkaConsumer) -> None:
        for partition in consumer.assignment():
            behind = _behind(consumer, partition)
            if behind is not None:
                telemetry.CONSUMER_LAG.labels(partition.topic, partition.partition).set(behind)

    async def _commit(self, consumer: AIOKafkaConsumer, *, at_once: bool) -> None:
        """Tell the broker how far we are, not oftener than needed: what is told late is only read twice."""
        now = time.monotonic()
        if not self._uncommitted or not (at_once or now - self._committed_at > COMMIT_S):
            return
        mine = consumer.assignment()
        offsets = {partition: offset for partition, offset in self._uncommitted.items() if partition in mine}
        self._uncommitted.clear()
        self._committed_at = now
        try:
            if offsets:
                await consumer.commit(offsets)
        except (CommitFailedError, RebalanceInProgressError, IllegalStateError) as error:
            # The partitions went to another process, which reads these events again and finds them handled.
            log.info("offsets_not_committed", error=type(error).__name__)

    async def _handle(self, records: Sequence[ConsumerRecord]) -> None:
        events: list[Received[Event]] = []
        origin: dict[int, ConsumerRecord] = {}
        for record in records:
            parsed = await self._patiently(lambda record=record: self._parse(record))
            if isinstance(parsed, _Poison):
                # What came before it is handled first, so that the order per key holds.
                await self._act(events, origin)
                events, origin = [], {}
                await self._put_aside(record, parsed.reason, parsed.detail)
            elif parsed is not None:
                origin[id(parsed)] = record
                events.append(parsed)
        await self._act(events, origin)

    async def _act(self, events: list[Received[Event]], origin: dict[int, ConsumerRecord]) -> None:
        """Handle the batch in one transaction; when an event spoils it, each half by itself."""
        if not events:
            return
        started = time.perf_counter()
        try:
            await self._patiently(lambda: self._transact(events))
        except Exception as error:
            if len(events) == 1:
                reason = error.code if isinstance(error, ServiceError) else type(error).__name__
                log.exception("event_not_handled", event_id=str(events[0].event_id))
                await self._put_aside(origin[id(events[0])], reason, str(error))
                return
            middle = len(events) // 2
            await self._act(events[:middle], origin)
            await self._act(events[middle:], origin)
            return
        self._dead_in_a_row = 0
        telemetry.BATCH_SECONDS.observe(time.perf_counter() - started)

    async def _transact(self, events: Sequence[Received[Event]]) -> None:
        with telemetry.tracer.start_as_current_span("handle_events", links=_links(events)):
            async with self._database.transaction() as session:
                fresh = await first_time(session, events)
                await self._router.handle(session, fresh)
        for event in fresh:
            telemetry.EVENTS_HANDLED.labels(event.data.name, "handled").inc()
        if len(fresh) < len(events):
            telemetry.EVENTS_HANDLED.labels("any", "duplicate").inc(len(events) - len(fresh))

    async def _patiently(self, work: Any) -> Any:
        """Do it until nothing transient stands in its way; the partition waits meanwhile."""
        delay_s = 0.1
        while True:
            try:
                return await work()
            except Exception as error:
                if not (isinstance(error, Unavailable) or will_pass(error)):
                    raise
                log.warning("waiting", error=type(error).__name__, detail=str(error)[:300], delay_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _parse(self, record: ConsumerRecord) -> Received[Event] | _Poison | None:
        """The event; why it is none; or None for an event this service does not hear."""
        headers = headers_of(record)
        type_name = headers.get("ce_type")
        if type_name is None:
            return _Poison(record, "no_type", "the record has no ce_type header")
        kind = self._router.event_of(type_name)
        if kind is None:
            return None
        schema_id, data = framed(record.value or b"")
        try:
            if schema_id is not None:
                schema = await self._schemas.by_id(schema_id)
                schema.refuse_invalid(orjson.loads(data))
            return event_of(record, kind, headers, data)
        except Unreadable as error:
            return _Poison(record, error.reason, str(error))
        except orjson.JSONDecodeError as error:
            return _Poison(record, "not_json", str(error))
        except ServiceError as error:
            if isinstance(error, Unavailable):
                raise
            return _Poison(record, error.code, str(error))

    async def _put_aside(self, record: ConsumerRecord, reason: str, detail: str) -> None:
        if self._dead_in_a_row >= DEAD_LETTERS_IN_A_ROW:
            raise TooManyDeadLetters(
                f"{self._dead_in_a_row} events in a row could not be handled; the last: {reason}: {detail}"
            )
        headers = headers_of(record)
        undeliverable = Undeliverable(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=headers,
            event_id=_uuid_or_none(headers.get("ce_id")),
        )

        async def keep() -> None:
            async with self._database.transaction() as session:
                await put_aside(session, undeliverable, reason=reason, detail=detail)

        await self._patiently(keep)
        self._dead_in_a_row += 1
        telemetry.EVENTS_HANDLED.labels("any", "dead").inc()


def _behind(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    end = consumer.highwater(partition)
    if end is None:
        return None
    # There is no public way to the position that does not wait.
    state = consumer._subscription.subscription.assignment.state_value(partition)  # noqa: SLF001
    if state is None or not state.has_valid_position:
        return None
    return max(0, int(end) - int(state.position))


async def _unread(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> int | None:
    partitions = []
    for topic in topics:
        known = consumer.partitions_for_topic(topic)
        if not known:
            return None
        partitions += [TopicPartition(topic, number) for number in known]
    ends = await consumer.end_offsets(partitions)
    firsts = await consumer.beginning_offsets(partitions)
    committed = await asyncio.gather(*(consumer.committed(partition) for partition in partitions))
    unread = sum(
        ends[partition] - (firsts[partition] if read is None else read)
        for partition, read in zip(partitions, committed, strict=True)
    )
    return int(unread)


def _links(events: Sequence[Received[Event]]) -> list[trace.Link]:
    """The traces of the events in the batch, as links of the batch's one span."""
    carriers = [{"traceparent": event.traceparent} for event in events[:LINKS] if event.traceparent]
    spans = [trace.get_current_span(propagate.extract(carrier)) for carrier in carriers]
    return [trace.Link(span.get_span_context()) for span in spans]


def _uuid_or_none(value: str | None) -> UUID | None:
    try:
        return UUID(value or "")
    except ValueError:
        return None
