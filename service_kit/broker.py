"""What we ask of the Kafka cluster itself: which one it is, and that our topics exist."""

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

ANSWER_S = 10
ASKED_AGAIN_S = 8
"""The driver gives up a connection on which nobody has answered for so long. That has to be before the end of
`ANSWER_S`: a question that is cancelled from outside leaves its connection to the next one."""
OURS_ALONE = (".dead-letters", ".redrive")
"""Ends of the names of topics on which little comes and one process reads."""

T = TypeVar("T")


async def _answered(asked: Awaitable[T]) -> T:
    """Not by `wait_for`: up to Python 3.11 it forgets a cancellation that comes together with the answer."""
    async with asyncio.timeout(ANSWER_S):
        return await asked


class Cluster:
    """A long-lived administrative connection. A call that fails raises `KafkaError` or `TimeoutError`."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaAdminClient | None = None

    async def start(self) -> None:
        client = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.kafka_servers,
            client_id=f"{self._settings.name}-admin",
            request_timeout_ms=ASKED_AGAIN_S * 1000,
        )
        try:
            await _answered(client.start())
        except BaseException:
            await client.close()
            raise
        self._client = client

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def id(self) -> str:
        """Id of the cluster; another one than before means that all that was sent is gone."""
        assert self._client is not None  # noqa: S101  started before it is asked
        found = await _answered(self._client.describe_cluster())
        return str(found["cluster_id"])

    async def layout(self, topics: Iterable[str]) -> str:
        """A digest of which cluster this is and how many partitions each of these topics has."""
        assert self._client is not None  # noqa: S101  started before it is asked
        described = await _answered(self._client.describe_topics(sorted(topics)))
        parted = sorted((topic["topic"], len(topic["partitions"])) for topic in described)
        return hashlib.sha256(repr((await self.id(), parted)).encode()).hexdigest()[:16]

    async def ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """The offset that the next record of each partition will have."""
        assert self._client is not None  # noqa: S101  started before it is asked
        described = await _answered(self._client.describe_topics(sorted(topics)))
        places = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
        asking = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_servers, client_id=f"{self._settings.name}-ends"
        )
        try:
            await _answered(asking.start())
            return dict(await _answered(asking.end_offsets(places)))
        finally:
            await asking.stop()

    async def committed(self, topics: Iterable[str]) -> dict[str, dict[TopicPartition, int]]:
        """The committed offsets of these topics by group of consumers; groups without any are left out."""
        assert self._client is not None  # noqa: S101  started before it is asked
        wanted = set(topics)
        found = {}
        for group, *_ in await _answered(self._client.list_consumer_groups()):
            offsets = await _answered(self._client.list_consumer_group_offsets(group))
            mine = {place: kept.offset for place, kept in offsets.items() if place.topic in wanted}
            if mine:
                found[group] = mine
        return found

    async def noted(
        self, group: str, places: Iterable[TopicPartition] | None = None
    ) -> dict[TopicPartition, str]:
        """What a group of consumers wrote beside its committed offsets: of these partitions, or of all."""
        assert self._client is not None  # noqa: S101  started before it is asked
        asked = None if places is None else list(places)
        offsets = await _answered(self._client.list_consumer_group_offsets(group, partitions=asked))
        return {place: kept.metadata or "" for place, kept in offsets.items()}

    async def declare(self, topics: Iterable[str]) -> None:
        """Make the topics that are missing; the broker makes none by itself, a wrong name shall not pass."""
        assert self._client is not None  # noqa: S101  started before it is asked
        existing = set(await _answered(self._client.list_topics()))
        missing = [
            NewTopic(
                name=topic,
                num_partitions=1 if topic.endswith(OURS_ALONE) else self._settings.topic_partitions,
                replication_factor=self._settings.topic_replicas,
                # The outbox is the store that everything can be sent from again; the topic need not keep all.
                topic_configs={"retention.ms": str(30 * 24 * 3600 * 1000)},
            )
            for topic in sorted(set(topics) - existing)
        ]
        if not missing:
            return
        answer = await _answered(self._client.create_topics(missing))
        for topic, code, *_ in answer.topic_errors:
            error = for_code(code)
            # Another process may have been faster.
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {topic} could not be made")
        log.info("topics_declared", topics=[topic.name for topic in missing])


async def declare_topics(settings: ServiceSettings, topics: Iterable[str]) -> None:
    """Wait for the broker and make the topics; used before anything reads from them."""
    wanted = sorted(set(topics))
    delay_s = 0.1
    while True:
        cluster = Cluster(settings)
        try:
            await cluster.start()
            await cluster.declare(wanted)
        except (KafkaError, TimeoutError, OSError) as error:
            log.warning("broker_unreachable", error=type(error).__name__)
        else:
            return
        finally:
            await cluster.stop()
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, 5)
