"""Slots and their owners over a real broker: shared out, taken over, fenced, in order per key through all."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from local_stack.engines.kafka import Kafka
from service_kit.broker import Cluster, declare_topics
from service_kit.outbox import Outgoing, publish_many, publish_raw
from service_kit.relay import Relay
from service_kit.relay.slots import GONE, SLOTS, SlotLost, Slots
from tests.support.running import eventually, in_background
from tests.support.sample.events import TaskCompleted
from tests.support.services import SHARED_SETTINGS, Service

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPIC = "tracker.tasks"


async def make_anew(service: Service) -> None:
    """The topic, without anything in it, whoever had it before."""
    admin = AIOKafkaAdminClient(bootstrap_servers=service.settings.kafka_servers)
    await admin.start()

    async def gone() -> bool:
        return TOPIC not in await admin.list_topics()

    try:
        if not await gone():
            await admin.delete_topics([TOPIC])
        await eventually(gone)
    finally:
        await admin.close()
    await declare_topics(service.settings, [TOPIC])


@pytest.fixture
async def sample(make_service: Callable[..., Service], kafka: Kafka) -> Service:
    service = make_service("tests.support.sample", kafka_servers=kafka.address, topic_partitions=3)
    await make_anew(service)
    return service


@pytest.fixture
async def connection(sample: Service) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(sample.addresses.service)
    yield found
    await found.close()


@pytest.fixture
async def other(sample: Service) -> AsyncIterator[asyncpg.Connection]:
    """Of another process."""
    found = await asyncpg.connect(sample.addresses.service)
    yield found
    await found.close()


@asynccontextmanager
async def relay_process(service: Service) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A relay of its own; killed at the end, if it still lives."""
    settings = {
        **SHARED_SETTINGS,
        "database_url": service.addresses.service,
        "kafka_servers": service.settings.kafka_servers,
        "topic_partitions": 3,
    }
    process = subprocess.Popen(  # noqa: ASYNC220  started in no time, then left alone
        [sys.executable, "-m", "tests.support.relay_process"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"settings": settings, "topics": [TOPIC]}).encode())
    process.stdin.close()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def say(service: Service, keys: list[UUID], cycle: int) -> None:
    async with service.transaction() as session:
        facts = [
            Outgoing(
                (TaskCompleted(task_id=key, user_guid=key, cycle=cycle, completed_at=NOW),),
                key=key,
                occurred_at=NOW,
            )
            for key in keys
        ]
        await publish_many(session, facts)


async def owners(service: Service) -> dict[UUID, int]:
    """How many slots each owner has whose lease holds."""
    rows = await service.scalar(
        "select coalesce(json_object_agg(owner, number), '{}') from (select owner, count(*) as number"
        " from relay_slots where leased_until > clock_timestamp() group by owner) as owners"
    )
    return {UUID(owner): number for owner, number in rows.items()}


async def all_sent(service: Service) -> bool:
    unsent = "select exists (select from outbox o join relay_slots s on s.slot = (hashtext(o.key) & 7)"
    return not await service.scalar(unsent + " where o.id > s.position)")


async def received(service: Service) -> list[tuple[UUID, int]]:
    """Key and cycle of everything in the topic, partition by partition in its order."""
    reader = AIOKafkaConsumer(bootstrap_servers=service.settings.kafka_servers, auto_offset_reset="earliest")
    await reader.start()
    try:
        places = [TopicPartition(TOPIC, number) for number in range(3)]
        reader.assign(places)
        ends = await reader.end_offsets(places)
        found: list[tuple[UUID, int]] = []
        while any([await reader.position(place) < ends[place] for place in places]):
            for batch in (await reader.getmany(timeout_ms=500)).values():
                found += [(UUID(r.key.decode()), orjson.loads(r.value[5:])["cycle"]) for r in batch]
        return found
    finally:
        await reader.stop()


def first_deliveries(found: list[tuple[UUID, int]]) -> dict[UUID, list[int]]:
    """Cycles per key in the order in which an inbox lets them act."""
    heard: dict[UUID, list[int]] = defaultdict(list)
    for key, cycle in found:
        if cycle not in heard[key]:
            heard[key].append(cycle)
    return heard


async def writing(service: Service, keys: list[UUID], said: list[int], last: int) -> None:
    """One fact per key and round, until `last` rounds were said."""
    while len(said) < last:
        await say(service, keys, len(said) + 1)
        said.append(len(said) + 1)
        await asyncio.sleep(0)


class _StoppedBeforeLookingAround:
    """A connection whose process does not go on for five seconds where it looks who is gone."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: str, *parameters: object) -> None:
        if statement is GONE:
            await self._connection.execute("update relay_owners set seen_at = seen_at - interval '5 s'")
        await self._connection.execute(statement, *parameters)


class TestSlots:
    async def slots(self, service: Service) -> Slots:
        cluster = Cluster(service.settings)
        await cluster.start()
        try:
            return Slots(await cluster.id())
        finally:
            await cluster.stop()

    async def test_one_process_takes_all(self, sample: Service, connection: asyncpg.Connection) -> None:
        one = await self.slots(sample)
        await one.keep(connection)
        assert sorted(one.held()) == list(range(SLOTS))

    async def test_they_are_shared_fairly_between_processes(
        self, sample: Service, connection: asyncpg.Connection, other: asyncpg.Connection
    ) -> None:
        """The first gives back what is more than its share, and only then the second takes it."""
        first, second = await self.slots(sample), await self.slots(sample)
        await first.keep(connection)
        await second.keep(other)
        assert not second.mine
        await first.keep(connection)
        await first.give_back_surplus(connection)
        await second.keep(other)
        assert len(first.mine) == len(second.mine) == SLOTS // 2
        assert not set(first.mine) & set(second.mine)

    async def test_a_process_whose_session_is_gone_is_replaced_at_once(
        self, sample: Service, connection: asyncpg.Connection, other: asyncpg.Connection
    ) -> None:
        """Its lease has not run out yet."""
        first, second = await self.slots(sample), await self.slots(sample)
        await first.keep(other)
        await other.close()

        async def taken() -> int:
            await second.keep(connection)
            return len(second.mine)

        assert await eventually(taken) == SLOTS

    async def test_a_process_that_stood_still_in_between_is_not_gone_for_itself(
        self, sample: Service, connection: asyncpg.Connection
    ) -> None:
        """It was stopped after it had said that it lives, longer than a lease lasts."""
        one = await self.slots(sample)
        await one.keep(_StoppedBeforeLookingAround(connection))
        assert sorted(one.mine) == list(range(SLOTS))

    async def test_a_lease_from_before_the_clock_was_set_back_holds_nothing_up(
        self, sample: Service, connection: asyncpg.Connection, other: asyncpg.Connection
    ) -> None:
        """A process that stands still would keep its slots until the clock comes there again."""
        still, successor = await self.slots(sample), await self.slots(sample)
        await still.keep(other)
        await connection.execute("update relay_owners set seen_at = seen_at + interval '1 hour'")
        await connection.execute("update relay_slots set leased_until = leased_until + interval '1 hour'")
        await successor.keep(connection)
        assert len(successor.mine) == SLOTS

    async def test_a_cursor_moves_only_under_its_fence(
        self, sample: Service, connection: asyncpg.Connection, other: asyncpg.Connection
    ) -> None:
        """Whoever lost its slots moves nothing, and gets to know it."""
        first, second = await self.slots(sample), await self.slots(sample)
        await first.keep(connection)
        late = dict(first.mine)
        await connection.execute("update relay_slots set leased_until = clock_timestamp() - interval '1 s'")
        await connection.execute("update relay_owners set seen_at = clock_timestamp() - interval '5 s'")
        await second.keep(other)
        assert len(second.mine) == SLOTS
        with pytest.raises(SlotLost):
            await first.moved(connection, late, 77)
        await first.keep(connection)
        assert not first.mine
        assert await sample.scalar("select max(position) from relay_slots") == 0

    async def test_a_cursor_never_moves_back(self, sample: Service, connection: asyncpg.Connection) -> None:
        one = await self.slots(sample)
        await one.keep(connection)
        await one.moved(connection, one.mine, 9)
        await one.moved(connection, one.mine, 5)
        assert await sample.scalar("select min(position) from relay_slots") == 9

    async def test_slots_of_another_cluster_begin_again(
        self, sample: Service, connection: asyncpg.Connection
    ) -> None:
        await connection.execute("update relay_slots set position = 50, cluster_id = 'lost'")
        one = await self.slots(sample)
        await one.keep(connection)
        assert {slot.position for slot in one.mine.values()} == {0}
        assert await sample.scalar("select max(position) from relay_slots") == 0


class TestProcesses:
    @pytest.mark.slow
    async def test_a_killed_owner_is_replaced(self, sample: Service) -> None:
        """In the middle of sending; nothing is lost, no key's facts are inverted."""
        keys, said = [uuid4() for _ in range(30)], list[int]()
        async with relay_process(sample) as first, relay_process(sample) as second:
            await eventually(lambda: two_share(sample))
            async with in_background(writing(sample, keys, said, 150)) as (writer,):
                await eventually(lambda: reached(said, 40))
                first.kill()
                await eventually(lambda: one_has_all(sample))
                await writer
            await eventually(lambda: all_sent(sample), within_s=60)
            assert second.poll() is None
        assert first_deliveries(await received(sample)) == dict.fromkeys(keys, said)

    @pytest.mark.slow
    async def test_a_stopped_owner_inverts_nothing_when_it_comes_back(self, sample: Service) -> None:
        """SIGSTOP in the middle of sending, a takeover, SIGCONT with rows still in its memory."""
        keys, said = [uuid4() for _ in range(30)], list[int]()
        async with relay_process(sample) as first, relay_process(sample):
            await eventually(lambda: two_share(sample))
            async with in_background(writing(sample, keys, said, 400)) as (writer,):
                await eventually(lambda: reached(said, 40))
                first.send_signal(signal.SIGSTOP)
                await eventually(lambda: one_has_all(sample))
                await eventually(lambda: reached(said, min(len(said) + 20, 400)))
                first.send_signal(signal.SIGCONT)
                await eventually(lambda: two_share(sample))
                await writer
            await eventually(lambda: all_sent(sample), within_s=60)
        assert first_deliveries(await received(sample)) == dict.fromkeys(keys, said)

    @pytest.mark.slow
    async def test_a_new_process_takes_its_share_and_nothing_is_sent_twice(self, sample: Service) -> None:
        """A handover between two living processes happens between batches."""
        keys, said = [uuid4() for _ in range(30)], list[int]()
        async with relay_process(sample):
            await eventually(lambda: one_has_all(sample))
            async with in_background(writing(sample, keys, said, 200)) as (writer,):
                await eventually(lambda: reached(said, 20))
                async with relay_process(sample):
                    await eventually(lambda: two_share(sample))
                    await writer
                    await eventually(lambda: all_sent(sample), within_s=60)
        found = await received(sample)
        assert first_deliveries(found) == dict.fromkeys(keys, said)
        assert len(found) == len(keys) * len(said)


async def reached(said: list[int], number: int) -> bool:
    return len(said) >= number


async def two_share(service: Service) -> bool:
    return sorted((await owners(service)).values()) == [SLOTS // 2] * 2


async def one_has_all(service: Service) -> bool:
    return list((await owners(service)).values()) == [SLOTS]


async def test_a_backlog_in_many_batches_keeps_its_order(sample: Service) -> None:
    """More rows than one read brings, and records too large to share a batch."""
    keys = [uuid4() for _ in range(40)]
    for cycle in range(1, 61):
        await say(sample, keys, cycle)
    async with sample.transaction() as session:
        await publish_raw(
            session, topic=TOPIC, key="large", value=b"x" * 600_000, headers={}, occurred_at=NOW
        )
    async with in_background(Relay(sample.settings, [TOPIC]).run()):
        await eventually(lambda: all_sent(sample), within_s=60)
    cycles: dict[str, list[Any]] = defaultdict(list)
    servers = sample.settings.kafka_servers
    reader = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, auto_offset_reset="earliest")
    await reader.start()
    try:
        while sum(map(len, cycles.values())) < len(keys) * 60 + 1:
            for batch in (await reader.getmany(timeout_ms=500)).values():
                for record in batch:
                    large = record.key == b"large"
                    told = len(record.value) if large else orjson.loads(record.value[5:])["cycle"]
                    cycles[record.key.decode()].append(told)
    finally:
        await reader.stop()
    assert cycles.pop("large") == [600_000]
    assert cycles == {str(key): list(range(1, 61)) for key in keys}
