"""What every consumer has confirmed, and what becomes of the outbox behind and before it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from local_stack.engines.kafka import Kafka
from service_kit.broker import Cluster
from service_kit.relay import Relay
from service_kit.relay.keeping import Standing, keep_outbox
from service_kit.relay.slots import Slots
from tests.service_kit.test_relay import TOPIC, all_sent, make_anew, received, say
from tests.support.running import eventually, in_background
from tests.support.services import Service

PLACES = [TopicPartition(TOPIC, number) for number in range(3)]
PART = 1_000_000


@pytest.fixture
async def sample(make_service: Callable[..., Service], kafka: Kafka) -> Service:
    service = make_service("tests.support.sample", kafka_servers=kafka.address, topic_partitions=3)
    await make_anew(service)
    return service


@pytest.fixture
async def owner(sample: Service) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(sample.addresses.owner)
    yield found
    await found.close()


@asynccontextmanager
async def group(service: Service, name: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that reads all of the topic and commits only when it is told to."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=service.settings.kafka_servers,
        group_id=name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def commit_all(consumer: AIOKafkaConsumer) -> None:
    await consumer.commit(await consumer.end_offsets(PLACES))


async def keep(service: Service) -> None:
    await keep_outbox(service.settings, service.database, [TOPIC])


async def confirmed(service: Service) -> int:
    found = await service.scalar("select coalesce(max(position), 0) from relay_days")
    return int(found)


async def last_id(service: Service) -> int:
    return int(await service.scalar("select max(id) from outbox"))


async def sent(service: Service, facts: int) -> None:
    """So many facts are said and with the broker."""
    await say(service, [uuid4() for _ in range(facts)], 1)
    async with in_background(Relay(service.settings, [TOPIC]).run()):
        await eventually(lambda: all_sent(service))


async def parts(service: Service) -> set[str]:
    return set(
        await service.scalar(
            "select array_agg(inhrelid::regclass::text) from pg_inherits"
            " where inhparent = 'public.outbox'::regclass"
        )
    )


ENDS = {TopicPartition("a", 0): 10, TopicPartition("b", 0): 5, TopicPartition("b", 1): 0}


class TestStanding:
    @pytest.mark.parametrize(
        ("committed", "all_have"),
        [
            ({}, True),
            ({"one": {TopicPartition("a", 0): 10}}, True),
            ({"one": {TopicPartition("a", 0): 9}}, False),
            ({"one": {TopicPartition("a", 0): 12}, "other": {TopicPartition("b", 0): 4}}, False),
            ({"one": {TopicPartition("b", 1): 0}}, False),
        ],
        ids=["nobody", "all of what it reads", "one behind", "another behind", "a partition not begun"],
    )
    def test_every_group_counts_for_what_it_reads(
        self, committed: dict[str, dict[TopicPartition, int]], *, all_have: bool
    ) -> None:
        assert Standing("here", ENDS, committed).all_have(ENDS) is all_have

    def test_a_topic_that_ends_earlier_was_emptied(self) -> None:
        assert Standing("here", ENDS, {}).emptied(ENDS) == []
        assert Standing("here", ENDS | {TopicPartition("a", 0): 9}, {}).emptied(ENDS) == ["a"]


class TestConfirming:
    async def test_the_slowest_consumer_decides(self, sample: Service) -> None:
        """What it has not committed is not confirmed, however far the others are."""
        await sent(sample, 20)
        async with group(sample, f"quick-{uuid4()}") as quick, group(sample, f"slow-{uuid4()}") as slow:
            await slow.commit(dict.fromkeys(PLACES, 1))
            await commit_all(quick)
            await keep(sample)
            await keep(sample)
            assert await confirmed(sample) == 0
            await commit_all(slow)
            await keep(sample)
            assert await confirmed(sample) == await last_id(sample)

    async def test_what_is_not_sent_is_not_confirmed(self, sample: Service) -> None:
        """All that a consumer can have is what the relay had sent when the mark was set."""
        await sent(sample, 5)
        known = await last_id(sample)
        await say(sample, [uuid4()], 1)
        async with group(sample, f"quick-{uuid4()}") as quick:
            await commit_all(quick)
            await keep(sample)
            await keep(sample)
        assert await confirmed(sample) == known < await last_id(sample)


class TestBeginningAgain:
    async def test_another_cluster_is_sent_what_came_after_the_last_whole_confirmed_day(
        self, sample: Service, owner: asyncpg.Connection
    ) -> None:
        await owner.execute(
            "insert into relay_days values (current_date - 2, 10), (current_date - 1, 40), (current_date, 70)"
        )
        await owner.execute("update relay_slots set position = 90, cluster_id = 'lost'")
        cluster = Cluster(sample.settings)
        await cluster.start()
        connection = await asyncpg.connect(sample.addresses.service)
        try:
            slots = Slots(await cluster.id())
            await slots.keep(connection)
        finally:
            await connection.close()
            await cluster.stop()
        assert {slot.position for slot in slots.mine.values()} == {40}
        assert await sample.scalar("select min(position) from relay_slots") == 40

    async def test_a_topic_made_anew_is_filled_again(self, sample: Service) -> None:
        """The cluster is the same, so that only the ends of its topics tell."""
        keys = [uuid4() for _ in range(10)]
        await say(sample, keys, 1)
        async with in_background(Relay(sample.settings, [TOPIC]).run()):
            await eventually(lambda: all_sent(sample))
            await keep(sample)
            await make_anew(sample)
            await keep(sample)

            async def filled() -> bool:
                return {key for key, _ in await received(sample)} == set(keys)

            assert await eventually(filled, within_s=60)
        assert await confirmed(sample) == 0


class TestParts:
    async def test_old_parts_are_dropped_whole_once_they_are_confirmed(
        self, sample: Service, owner: asyncpg.Connection
    ) -> None:
        for last in (PART - 4, 2 * PART - 4, 2 * PART):
            await owner.execute("select setval('outbox_id_seq', $1)", last)
            await sent(sample, 3)
            await keep(sample)
        days = "insert into relay_days values (current_date - $1::int, $2) on conflict (day) do nothing"
        await owner.execute(days, 90, 2 * PART - 1)
        await owner.execute(days, 89, 2 * PART + 3)
        await keep(sample)
        assert await sample.scalar("select min(id) from outbox") == 2 * PART + 1
        assert await sample.scalar("select count(*) from outbox") == 3
        assert not {f"partition_outbox_{PART}", f"partition_outbox_{2 * PART}"} & await parts(sample)

    async def test_nothing_is_dropped_that_is_not_confirmed(
        self, sample: Service, owner: asyncpg.Connection
    ) -> None:
        await owner.execute("insert into relay_days values (current_date - 400, 2)")
        await owner.execute("select setval('outbox_id_seq', $1)", PART)
        await sent(sample, 3)
        before = await parts(sample)
        await keep(sample)
        assert before <= await parts(sample)
        assert await sample.scalar("select count(*) from outbox") == 3

    async def test_ids_that_come_faster_than_parts_are_kept_and_sent(
        self, sample: Service, owner: asyncpg.Connection
    ) -> None:
        """They go where everything goes that no part is ready for."""
        await sent(sample, 2)
        await owner.execute("select setval('outbox_id_seq', $1)", 50 * PART + 7)
        await sent(sample, 4)
        await keep(sample)
        place = "select count(*) from outbox where tableoid = 'partition_outbox_rest'::regclass"
        assert await sample.scalar(place) == 4
        assert len(await received(sample)) == 6
        assert f"partition_outbox_{52 * PART}" in await parts(sample)
        # The part for their own range can not be made any more, and is not missed.
        await sent(sample, 1)
        assert len(await received(sample)) == 7

    async def test_the_service_itself_can_take_nothing_away(self, sample: Service) -> None:
        await sent(sample, 1)
        connection = await asyncpg.connect(sample.addresses.service)
        try:
            for statement in ("delete from outbox", "truncate outbox", "drop table partition_outbox_rest"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()
