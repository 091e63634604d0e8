"""Reads records in batches, has them handled, then commits their offsets.

Nothing an event does can acknowledge it: offsets are committed only after the transaction of its effect.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    OffsetMetadataTooLargeError,
    RebalanceInProgressError,
)

from service_kit import telemetry
from service_kit.broker import Cluster
from service_kit.consuming import EventRouter
from service_kit.database import Database
from service_kit.handling import RecordHandler, TooManyDeadLetters
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

BATCH = 2_000
"""So many records are handled together, where so many wait: each statement of a batch has its price, and an
account that several of its facts touch is written once."""
AT_ONCE = 3
"""So many batches are handled at the same time, from a backlog: one is read, one is in the database, one
waits for its commit. More would only wait for each other, as all post to the company's one account."""
POLL_MS = 250
COMMIT_S = 0.25
COMMITTED_WITHIN_S = 1.0
"""The driver tries a commit again for as long as it takes, also at a broker that was set up anew
meanwhile and has taken us in: there our offsets would pass over what the relays send again. None is set up
as fast as this."""
ASKING_S = 5.0
NOTES_S = 2.0
CLUSTER_CHECK_S = 1.0

_Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]


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


class _Hands:
    """Batches that are being handled, each by a task of its own.

    They do not wait for each other; what is left of them at the end is cancelled, and will be read again.
    """

    def __init__(self, handler: RecordHandler) -> None:
        self._handler = handler
        self._works: dict[asyncio.Task[None], _Batch] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    @property
    def busy(self) -> bool:
        return bool(self._works)

    @property
    def free(self) -> bool:
        return len(self._works) < AT_ONCE

    @property
    def partitions(self) -> AbstractSet[TopicPartition]:
        return {partition for batch in self._works.values() for partition in batch}

    def take(self, batch: _Batch, records: Sequence[ConsumerRecord]) -> None:
        self._works[asyncio.create_task(self._handler.handle(records))] = batch

    async def done(self) -> list[_Batch]:
        """Wait for one, or for a moment where more could be taken meanwhile; raises what ended it."""
        if not self._works:
            return []
        ended, _others = await asyncio.wait(
            self._works,
            timeout=POLL_MS / 1000 if self.free else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        batches = [self._works.pop(work) for work in ended]
        for work in ended:
            work.result()
        return batches


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
        batch: int = BATCH,
    ) -> None:
        self._settings = settings
        self._batch = batch
        self._router = router
        self._handler = RecordHandler(database, schemas, router)
        self._instance = instance
        self._consumer: AIOKafkaConsumer | None = None
        self._in_hand = 0
        self._uncommitted: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._notes_of: set[TopicPartition] = set()
        self.stopped_because: str | None = None
        self.progress_at_s = time.monotonic()
        """When a batch was last committed, or the topics were last seen to be empty: `time.monotonic`."""

    async def run(self) -> None:
        broker = Cluster(self._settings)
        try:
            await broker.start()
            # Also here: the broker may have been set up anew since the process declared its topics.
            await broker.declare(self._router.topics)
            await self._consume(broker)
        finally:
            await broker.stop()

    async def _consume(self, broker: Cluster) -> None:
        topics = sorted(self._router.topics)
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._settings.kafka_servers,
            group_id=self._settings.name,
            group_instance_id=_name_in_group(self._instance, await broker.layout(topics)),
            client_id=f"{self._settings.name}-consumer",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            # Longer than a group waits for a member that has gone; a line that says nothing is given up then.
            request_timeout_ms=15_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=250,
            metadata_max_age_ms=10_000,
            # One, not several: aiokafka 0.14 joins once per strategy (its pull request 1168), and each join
            # throws the other members out of theirs, so that a group may never come to rest.
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        )
        try:
            await consumer.start()
            watch = _ClusterWatch(broker, await broker.id())
            self._consumer, self._in_hand = consumer, 0
            log.info("consumer_started", topics=topics)
            async with _Hands(self._handler) as hands:
                while True:
                    await self._take(consumer, watch, hands)
                    self._measure(consumer)
                    idle = not hands.busy
                    for batch in await hands.done():
                        self._note_handled(batch)
                    if idle and self.lag() == 0:
                        self.progress_at_s = time.monotonic()
                    await self._commit(consumer, watch, at_once=idle)
        except TooManyDeadLetters as error:
            # It stays in the group: what stopped it would stop the next one that is given its partitions.
            self.stopped_because = str(error)
            log.critical("consumer_stopped", reason=str(error))
            await asyncio.Event().wait()
        finally:
            self._consumer = None
            await consumer.stop()

    async def _take(self, consumer: AIOKafkaConsumer, watch: _ClusterWatch, hands: "_Hands") -> None:
        """Give what has come to free hands; a second batch only where there was more than the first can hold.

        Batches that are handled at the same time share no partition and so no key.
        """
        if not hands.busy:
            await asyncio.sleep(self._settings.consumer_linger_s)
        while hands.free:
            others = consumer.assignment() - hands.partitions
            if hands.busy and not others:
                return
            batch = await consumer.getmany(
                *(others if hands.busy else ()),
                timeout_ms=0 if hands.busy else POLL_MS,
                max_records=self._batch,
            )
            await watch.refuse_another()
            if not batch:
                return
            records = [record for records in batch.values() for record in records]
            self._in_hand += len(records)
            hands.take(batch, records)
            if len(records) < self._batch:
                return

    def _note_handled(self, batch: _Batch) -> None:
        for partition, handled in batch.items():
            self._in_hand -= len(handled)
            self._uncommitted[partition] = handled[-1].offset + 1
        self.progress_at_s = time.monotonic()
        telemetry.CONSUMER_PROGRESS.set(time.time())

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

    async def _commit(self, consumer: AIOKafkaConsumer, watch: _ClusterWatch, *, at_once: bool) -> None:
        """Tell the broker how far we are, not oftener than needed: what is told late is only read twice."""
        now = time.monotonic()
        if not self._uncommitted or not (at_once or now - self._committed_at > COMMIT_S):
            return
        mine = consumer.assignment()
        offsets = {partition: offset for partition, offset in self._uncommitted.items() if partition in mine}
        self._uncommitted.clear()
        self._committed_at = now
        if not offsets:
            return
        self._notes_of &= mine
        await self._take_over_notes(watch.broker, offsets.keys() - self._notes_of)
        notes = self._handler.notes
        # The batch may have taken long.
        await watch.refuse_another()
        try:
            async with asyncio.timeout(COMMITTED_WITHIN_S):
                try:
                    await consumer.commit(
                        {one: (offset, notes.written(one)) for one, offset in offsets.items()}
                    )
                except OffsetMetadataTooLargeError:
                    # A broker that takes less than usual: offsets count, notes are for people.
                    log.warning("notes_too_long")
                    await consumer.commit(offsets)
        except TimeoutError:
            log.info("offsets_not_committed", error="no answer yet")
            self._uncommitted = offsets
        except (CommitFailedError, RebalanceInProgressError, IllegalStateError) as error:
            # The partitions went to another process, which reads these events again and finds them handled.
            log.info("offsets_not_committed", error=type(error).__name__)

    async def _take_over_notes(self, broker: Cluster, places: AbstractSet[TopicPartition]) -> None:
        """Before the first commit of a partition: what was noted there goes on, as the commit replaces it."""
        if not places:
            return
        self._notes_of |= places
        try:
            async with asyncio.timeout(NOTES_S):
                found = await broker.noted(self._settings.name, places)
        except (KafkaError, TimeoutError, OSError) as error:
            log.info("notes_not_taken_over", error=type(error).__name__)
            return
        for place, note in found.items():
            self._handler.notes.take_over(place, note)


def _name_in_group(instance: str | None, layout: str) -> str | None:
    """The name by which a member keeps its partitions over a new start, for one cluster and its partitions.

    A member that comes back under a name that the group knows is given what it had, and nobody is asked
    anew. That must not hold for what was shared out by a member that knew only some of the partitions, or
    none of a broker that had been set up anew: nobody would read the others, and nobody would notice. So
    under another layout it comes as somebody new; the old name loses its share with its session.
    """
    return instance and f"{instance}-{layout}"


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
