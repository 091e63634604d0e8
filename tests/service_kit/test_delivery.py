"""From outbox to effect over a real broker: in order per key, once, whatever is in the way."""

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import GroupCoordinatorNotAvailableError
from sqlalchemy import insert, text

from local_stack.engines.kafka import Kafka
from local_stack.ports import PortChooser
from service_kit.broker import declare_topics
from service_kit.consumer import BATCH, BatchConsumer, BrokerReplaced
from service_kit.consuming import EventRouter
from service_kit.context import Context
from service_kit.database import Session
from service_kit.dead_letters import redrive_topic
from service_kit.dead_letters.acting import Actor, redrive_one
from service_kit.errors import Invalid
from service_kit.events import Event, Received
from service_kit.outbox import publish
from service_kit.relay import Relay
from service_kit.relay.keeping import keep_outbox
from tests.support import engines
from tests.support.running import eventually, in_background
from tests.support.sample.consumers import recording
from tests.support.sample.events import TaskCompleted
from tests.support.sample.models import Effect
from tests.support.services import Service

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPIC = "tracker.tasks"

WELL_FORMED = TaskCompleted(task_id=UUID(int=1), user_guid=UUID(int=2), cycle=1, completed_at=NOW).to_json()


class Uncontracted(Event, topic=TOPIC, name="Uncontracted", version=1):
    """No registry has a schema of it."""

    task_id: UUID


@pytest.fixture
async def sample(make_service: Callable[..., Service], kafka: Kafka) -> Service:
    """The sample service beside a broker whose topics hold nothing of other tests."""
    service = make_service("tests.support.sample", kafka_servers=kafka.address, topic_partitions=2)
    await forget(kafka)
    await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
    return service


async def forget(kafka: Kafka) -> None:
    # The broker forgets the groups' offsets with the topics.
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    try:
        topics = [topic for topic in await admin.list_topics() if not topic.startswith("__")]
        if topics:
            await admin.delete_topics(topics)
        await eventually(lambda: _gone(admin))
    finally:
        await admin.close()


async def _gone(admin: Any) -> bool:
    return not [topic for topic in await admin.list_topics() if not topic.startswith("__")]


def fact(task: UUID, cycle: int) -> TaskCompleted:
    return TaskCompleted(task_id=task, user_guid=uuid4(), cycle=cycle, completed_at=NOW)


def relay(service: Service) -> Relay:
    return Relay(service.settings, [TOPIC, "sample.dead-letters"])


def consumer(service: Service, router: EventRouter, *, batch: int = BATCH) -> BatchConsumer:
    context = service.database.context
    assert isinstance(context, Context)
    return BatchConsumer(service.settings, service.database, context.schemas, router, batch=batch)


async def say(service: Service, task: UUID, cycle: int) -> None:
    async with service.transaction() as session:
        # The aggregate's lock, as a command takes it before it says anything.
        await session.execute(text("select pg_advisory_xact_lock(hashtext(:k))"), {"k": str(task)})
        await publish(session, fact(task, cycle), key=task, occurred_at=NOW)


async def effects(service: Service) -> list[tuple[UUID, str]]:
    async with service.reading() as session:
        rows = await session.execute(text("select task_id, what from effects order by id"))
        return [(row.task_id, row.what) for row in rows]


async def test_what_was_said_acts_once_and_in_order_per_key(sample: Service) -> None:
    tasks = [uuid4() for _ in range(5)]
    async with in_background(relay(sample).run(), consumer(sample, recording()).run()):
        for cycle in range(1, 11):
            for task in tasks:
                await say(sample, task, cycle)

        async def all_there() -> bool:
            return len(await effects(sample)) == 50

        await eventually(all_there)
    by_task = defaultdict(list)
    for task, what in await effects(sample):
        by_task[task].append(int(what))
    assert by_task == {task: list(range(1, 11)) for task in tasks}


async def test_a_backlog_is_handled_by_two_at_a_time_in_order_per_key(
    sample: Service,
) -> None:
    tasks = [uuid4() for _ in range(8)]
    async with in_background(relay(sample).run()):
        for cycle in range(1, 11):
            for task in tasks:
                await say(sample, task, cycle)
        last = await sample.scalar("select max(id) from outbox")

        async def all_sent() -> bool:
            return bool(await sample.scalar("select min(position) from relay_slots") == last)

        await eventually(all_sent)
    at_work, most = 0, 0
    both = asyncio.Event()
    router = EventRouter()

    @router.on_batch(TaskCompleted)
    async def watched(session: Session, events: Sequence[Received[TaskCompleted]]) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == 2:
            both.set()
        await both.wait()
        rows = [{"task_id": event.data.task_id, "what": str(event.data.cycle)} for event in events]
        await session.execute(insert(Effect), rows)
        at_work -= 1

    async with in_background(consumer(sample, router, batch=5).run()):

        async def all_there() -> bool:
            return len(await effects(sample)) == 80

        await eventually(all_there)
    by_task = defaultdict(list)
    for task, what in await effects(sample):
        by_task[task].append(int(what))
    assert by_task == {task: list(range(1, 11)) for task in tasks}
    assert most == 2


async def test_the_lag_of_a_group_counts_what_other_workers_have_in_hand(sample: Service) -> None:
    """A worker whose own partitions are read to the end knows that another is behind."""
    free = asyncio.Event()
    free.set()
    seen: list[UUID] = []
    router = recording()
    slow = EventRouter()

    @slow.on(TaskCompleted)
    async def hold(_session: Session, event: Received[TaskCompleted]) -> None:
        seen.append(event.data.task_id)
        await free.wait()

    one, other = consumer(sample, router), consumer(sample, slow)
    async with in_background(relay(sample).run(), one.run(), other.run()):

        async def both_have_a_part() -> bool:
            # Sooner the group may still be sharing out, and give away what is held below.
            await say(sample, uuid4(), 1)
            return bool(seen) and bool(await effects(sample))

        await eventually(both_have_a_part)

        async def nobody_is_behind() -> bool:
            return await one.group_lag() == 0

        await eventually(nobody_is_behind)
        free.clear()
        before = len(seen)

        async def the_other_has_one_in_hand() -> bool:
            await say(sample, uuid4(), 1)
            return len(seen) > before

        await eventually(the_other_has_one_in_hand)

        async def only_the_other_is_behind() -> bool:
            return one.lag() == 0 and bool(other.lag()) and bool(await one.group_lag())

        await eventually(only_the_other_is_behind)
        free.set()
        await eventually(nobody_is_behind)


async def test_a_row_that_commits_late_is_not_passed(sample: Service) -> None:
    """A cursor that only looked for greater ids would lose the row of the slow transaction for ever."""
    slow, fast = uuid4(), uuid4()
    async with in_background(relay(sample).run(), consumer(sample, recording()).run()):
        async with sample.transaction() as session:
            await publish(session, fact(slow, 1), key=slow, occurred_at=NOW)
            await say(sample, fast, 1)

            async def nothing_passed() -> bool:
                """The relay has met the gap: it has asked the database again, and sent nothing."""
                return bool(await sample.scalar("select max(position) from relay_slots") == 0)

            await eventually(nothing_passed)
            assert await effects(sample) == []

        async def both() -> bool:
            return {task for task, _ in await effects(sample)} == {slow, fast}

        await eventually(both)


async def test_a_gap_that_nobody_fills_is_passed(sample: Service) -> None:
    task = uuid4()
    with pytest.raises(RuntimeError):
        async with sample.transaction() as session:
            await publish(session, fact(task, 1), key=task, occurred_at=NOW)
            raise RuntimeError("rolled back, its id is gone")
    await say(sample, task, 2)
    async with in_background(relay(sample).run(), consumer(sample, recording()).run()):

        async def arrived() -> bool:
            return await effects(sample) == [(task, "2")]

        await eventually(arrived)


@pytest.mark.slow
async def test_concurrent_writers_with_rollbacks_lose_and_invert_nothing(sample: Service) -> None:
    tasks = [uuid4() for _ in range(8)]
    said: dict[UUID, list[int]] = defaultdict(list)
    dice = random.Random(7)

    async def write(number: int) -> None:
        for _ in range(40):
            task = dice.choice(tasks)
            try:
                async with sample.transaction() as session:
                    key = {"k": str(task)}
                    await session.execute(text("select pg_advisory_xact_lock(hashtext(:k))"), key)
                    cycle = len(said[task]) + 1
                    await publish(session, fact(task, cycle), key=task, occurred_at=NOW)
                    if dice.random() < 0.1:
                        raise RuntimeError
                    await session.execute(text("select pg_sleep(:s)"), {"s": dice.random() * 0.01})
                    said[task].append(cycle)
            except RuntimeError:
                continue

    async with in_background(relay(sample).run(), consumer(sample, recording()).run()):
        await asyncio.gather(*(write(number) for number in range(5)))
        total = sum(len(cycles) for cycles in said.values())

        async def all_there() -> bool:
            return len(await effects(sample)) >= total

        await eventually(all_there)
    heard = defaultdict(list)
    for task, cycle in await effects(sample):
        heard[task].append(int(cycle))
    assert heard == said


async def test_only_one_of_two_relays_sends_and_the_other_takes_over(sample: Service) -> None:
    first, second = relay(sample), relay(sample)
    async with in_background(first.run()) as (task,):

        async def first_owns() -> bool:
            return first.owner

        await eventually(first_owns)
        async with in_background(second.run(), consumer(sample, recording()).run()):
            key = uuid4()
            await say(sample, key, 1)

            async def one() -> bool:
                return len(await effects(sample)) == 1

            await eventually(one)
            assert not second.owner
            task.cancel()
            await say(sample, key, 2)

            async def two() -> bool:
                return len(await effects(sample)) == 2

            await eventually(two)
            assert second.owner


async def test_an_event_that_can_not_be_handled_is_put_aside_and_the_others_go_on(sample: Service) -> None:
    router = EventRouter()
    bad, good = uuid4(), uuid4()

    @router.on(TaskCompleted)
    async def refuse_bad(session: Session, event: Received[TaskCompleted]) -> None:
        await session.execute(insert(Effect), [{"task_id": event.data.task_id, "what": "done"}])
        if event.data.task_id == bad:
            raise Invalid("/taskId: not a task of ours")

    async with in_background(relay(sample).run(), consumer(sample, router).run()):
        for task in (bad, good):
            await say(sample, task, 1)

        async def settled() -> bool:
            letters = await sample.scalar("select count(*) from dead_letters")
            return letters == 1 and await effects(sample) == [(good, "done")]

        await eventually(settled)
        detail = await sample.scalar("select reason || ': ' || detail from dead_letters")
        assert detail == "invalid: /taskId: not a task of ours"

        async def said() -> list[bytes]:
            return await records(sample, "sample.dead-letters")

        assert await eventually(said) == [await sample.scalar("select value from dead_letters")]


async def test_what_the_database_refuses_is_told_in_its_words_without_the_statement(sample: Service) -> None:
    router = EventRouter()

    @router.on(TaskCompleted)
    async def write_nonsense(session: Session, _event: Received[TaskCompleted]) -> None:
        await session.execute(text("select cast('nonsense' as integer)"))

    async with in_background(relay(sample).run(), consumer(sample, router).run()):
        await say(sample, uuid4(), 1)

        async def put_aside() -> str | None:
            found: str | None = await sample.scalar("select detail from dead_letters")
            return found

        detail = await eventually(put_aside)
    assert "invalid input syntax for type integer" in detail
    assert "select" not in detail


async def test_a_dead_letter_that_is_sent_again_acts_once_and_keeps_its_place(sample: Service) -> None:
    """It goes round while the cause is still there, then twice when it is away."""
    router = EventRouter()
    router.also_read(redrive_topic("sample"))
    task, last = uuid4(), uuid4()
    causes = ["there is a cause"]

    @router.on(TaskCompleted)
    async def refuse_at_first(session: Session, event: Received[TaskCompleted]) -> None:
        if causes:
            raise Invalid(causes[0])
        place = f"{event.topic} {event.partition} {event.offset}"
        await session.execute(insert(Effect), [{"task_id": event.data.task_id, "what": place}])

    await declare_topics(sample.settings, [redrive_topic("sample")])

    async def waiting(number: int) -> bool:
        return bool(
            await sample.scalar("select count(*) from dead_letters where state = 'waiting'") == number
        )

    async def send_again(key: UUID) -> None:
        async with sample.transaction() as session:
            found = await session.scalar(
                text("select id from dead_letters where key = :k"), {"k": str(key).encode()}
            )
            await session.execute(
                text("update dead_letters set state = 'waiting' where id = :i"), {"i": found}
            )
            await redrive_one(session, found, Actor(operator="test"))

    async with in_background(relay(sample).run(), consumer(sample, router).run()):
        await say(sample, task, 1)
        await say(sample, last, 1)
        await eventually(lambda: waiting(2))
        await send_again(task)

        async def back_again() -> bool:
            return bool(await sample.scalar("select max(attempts) from dead_letters") == 2) and await waiting(
                2
            )

        await eventually(back_again)
        causes.clear()
        # The topic of what comes back has one partition: when the last one acted, those before it were read.
        for key in (task, task, last):
            await send_again(key)

        async def last_acted() -> bool:
            return last in {key for key, _ in await effects(sample)}

        await eventually(last_acted)
    async with sample.reading() as session:
        kept = await session.execute(text('select key, topic, partition, "offset" from dead_letters'))
        places = {UUID(row.key.decode()): f"{row.topic} {row.partition} {row.offset}" for row in kept}
    assert await effects(sample) == [(task, places[task]), (last, places[last])]
    assert places[task].startswith(TOPIC)


@pytest.mark.parametrize(
    ("value", "headers", "reason"),
    [
        (b"{", {}, "not_json"),
        (b"not json at all", {}, "not_json"),
        (b"", {}, "not_json"),
        (b'{"taskId": 7}', {}, "schema_violation"),
        (WELL_FORMED, {"ce_id": "no uuid"}, "bad_headers"),
        (b'{"taskId": 7}', {"ce_type": Uncontracted.type_name()}, "unreadable"),
        (b"{}", {"ce_type": None}, "no_type"),
        (b"\x00\x00\x00\xff\xff{}", {}, "unknown_schema"),
    ],
)
async def test_malformed_records_are_put_aside_with_the_reason(
    sample: Service, value: bytes, headers: dict[str, str | None], reason: str
) -> None:
    """A contract holds with a frame and without one; where there is none the class decides."""
    router = recording()

    @router.on(Uncontracted)
    async def never(_session: Session, _event: Received[Uncontracted]) -> None:
        raise AssertionError

    await send_raw(sample, value, headers)
    async with in_background(consumer(sample, router).run()):

        async def put_aside() -> str | None:
            found: str | None = await sample.scalar("select reason from dead_letters")
            return found

        assert await eventually(put_aside) == reason
    assert await sample.scalar("select value from dead_letters") == value


async def send_raw(service: Service, value: bytes, headers: dict[str, str | None]) -> None:
    known: dict[str, str | None] = {
        "ce_type": TaskCompleted.type_name(),
        "ce_id": str(uuid4()),
        "ce_time": "2026-03-02T12:00:00Z",
    }
    merged = {name: text for name, text in (known | headers).items() if text is not None}
    producer = AIOKafkaProducer(bootstrap_servers=service.settings.kafka_servers)
    await producer.start()
    try:
        pairs = [(name, text.encode()) for name, text in merged.items()]
        await producer.send_and_wait(TOPIC, value, key=b"k", headers=pairs)
    finally:
        await producer.stop()


async def test_trouble_of_the_database_is_waited_out_without_losing_the_event(sample: Service) -> None:
    """The service's sessions are killed and refused for a while, in the middle of consuming."""
    router = recording()
    task = uuid4()
    async with in_background(relay(sample).run(), consumer(sample, router).run()):
        await say(sample, task, 1)

        async def one() -> bool:
            return len(await effects(sample)) == 1

        await eventually(one)
        superuser = await asyncpg.connect(sample.addresses.superuser)
        try:
            await say(sample, task, 2)
            await superuser.execute("ALTER ROLE sample_service NOLOGIN")
            await superuser.execute(
                # With a time it waits for each to end; none dies later, in the hands of the test.
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename = 'sample_service'"
            )
        finally:
            await superuser.execute("ALTER ROLE sample_service LOGIN")
            await superuser.close()

        # Asked as somebody whose sessions are left alone.
        reader = await asyncpg.connect(sample.addresses.reader)
        try:

            async def two() -> bool:
                return bool(await reader.fetchval("select count(*) from effects") == 2)

            await eventually(two)
        finally:
            await reader.close()
    assert await effects(sample) == [(task, "1"), (task, "2")]


async def test_offsets_of_a_lost_broker_are_not_told_to_the_next(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    """It was replaced while a batch was handled, and has taken the consumer into its group meanwhile.

    The old log held records twice: its offset lies behind facts of the new one that nobody has read.
    """
    ports = PortChooser()
    addresses = ports.draw(), ports.draw()
    task, held, free = uuid4(), asyncio.Event(), asyncio.Event()
    holding = EventRouter()

    @holding.on(TaskCompleted)
    async def act(session: Session, event: Received[TaskCompleted]) -> None:
        session.add(Effect(task_id=event.data.task_id, what=str(event.data.cycle)))
        if event.data.cycle == 5:
            held.set()
            await free.wait()

    async def acted(service: Service, cycles: int) -> None:
        async def all_acted() -> bool:
            return len(await effects(service)) >= cycles

        await eventually(all_acted, within_s=60)

    with engines.kafka(tmp_path / "first", *addresses) as first:
        service = make_service("tests.support.sample", kafka_servers=first.address, topic_partitions=1)
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
        reader = consumer(service, holding)
        reading = asyncio.create_task(reader.run())

        for _ in range(3):
            async with in_background(relay(service).run()):
                if not await service.said():
                    for cycle in range(1, 5):
                        await say(service, task, cycle)
                await acted(service, 4)
                await all_sent(service)
            await set_back(service)
        async with in_background(relay(service).run()):
            await all_sent(service)
            # What waits to be committed would be, or would tell of the other broker, before the batch ends.
            await all_committed(reader)
            await say(service, task, 5)
            await asyncio.wait_for(held.wait(), 60)
    with engines.kafka(tmp_path / "second", *addresses):
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])

        async def taken_in() -> bool:
            return await members(service) > 0

        await eventually(taken_in, within_s=60)
        free.set()
        with pytest.raises(BrokerReplaced):
            await asyncio.wait_for(reading, 60)
        for cycle in range(6, 31):
            await say(service, task, cycle)
        async with in_background(relay(service).run()):
            # The new log has to be longer than the offset, else a reader would begin at its start anyway.
            await all_sent(service)
        async with in_background(consumer(service, recording()).run()):
            await acted(service, 30)
    assert [what for _, what in await effects(service)] == [str(cycle) for cycle in range(1, 31)]


async def all_committed(reader: BatchConsumer) -> None:
    async def nothing_behind() -> bool:
        return await reader.group_lag() == 0

    await eventually(nothing_behind, within_s=60)


async def all_sent(service: Service) -> None:
    unsent = "select exists (select from outbox o join relay_slots s on s.slot = (hashtext(o.key) & 7)"

    async def sent() -> bool:
        return not await service.scalar(unsent + " where o.id > s.position)")

    await eventually(sent)


async def set_back(service: Service) -> None:
    """Let the relay begin anew: what it has sent comes once more."""
    async with service.transaction() as session:
        await session.execute(text("update relay_slots set position = 0"))


async def members(service: Service) -> int:
    """How many consumers the broker has in the service's group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=service.settings.kafka_servers)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([service.settings.name])
        return sum(len(group[5]) for group in answer.groups)
    except GroupCoordinatorNotAvailableError:
        return 0
    finally:
        await admin.close()


@pytest.mark.slow
async def test_a_broker_that_lost_everything_is_sent_everything_again_and_each_event_acts_once(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    ports = PortChooser()
    addresses = ports.draw(), ports.draw()
    tasks = [uuid4() for _ in range(3)]
    with engines.kafka(tmp_path / "first", *addresses) as first:
        service = make_service("tests.support.sample", kafka_servers=first.address, topic_partitions=2)
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
        before = await seen_by_a_new_consumer(service, tasks, cycle=1)
    with engines.kafka(tmp_path / "second", *addresses):
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
        after = await seen_by_a_new_consumer(service, tasks, cycle=2)
        assert before == sorted((task, "1") for task in tasks)
        assert after == sorted((task, cycle) for task in tasks for cycle in ("1", "2"))
        assert len(await records(service, TOPIC)) == 6


@pytest.mark.slow
async def test_a_topic_made_anew_under_everybody_is_filled_again_and_each_event_acts_once(
    sample: Service, kafka: Kafka
) -> None:
    """Relay and consumer go on meanwhile; what was said when there was no topic comes as well."""
    tasks = [uuid4() for _ in range(4)]
    topics = [TOPIC, "sample.dead-letters"]

    async def acted(cycles: int) -> bool:
        return len(await effects(sample)) == cycles * len(tasks)

    async with in_background(relay(sample).run(), consumer(sample, recording()).run()):
        for cycle in (1, 2, 3):
            for task in tasks:
                await say(sample, task, cycle)
        await eventually(lambda: acted(3))
        await keep_outbox(sample.settings, sample.database, topics)
        await forget(kafka)
        for task in tasks:
            await say(sample, task, 4)
        await declare_topics(sample.settings, topics)
        await keep_outbox(sample.settings, sample.database, topics)
        for task in tasks:
            await say(sample, task, 5)
        await eventually(lambda: acted(5), within_s=60)
    by_task = defaultdict(list)
    for task, what in await effects(sample):
        by_task[task].append(int(what))
    assert by_task == {task: [1, 2, 3, 4, 5] for task in tasks}


async def test_a_consumer_that_outlives_its_broker_ends_and_begins_anew(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    """Its place in the old log means nothing in the new one, which has grown past it meanwhile."""
    ports = PortChooser()
    addresses = ports.draw(), ports.draw()
    tasks = [uuid4() for _ in range(4)]

    async def acted(service: Service, cycles: int) -> None:
        async def all_acted() -> bool:
            return len(await effects(service)) >= len(tasks) * cycles

        await eventually(all_acted)

    with engines.kafka(tmp_path / "first", *addresses) as first:
        service = make_service("tests.support.sample", kafka_servers=first.address, topic_partitions=1)
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
        process = consuming_program(service, tmp_path / "consumer.log")
        async with in_background(relay(service).run()):
            for cycle in (1, 2, 3):
                for task in tasks:
                    await say(service, task, cycle)
            await acted(service, 3)
        # As if the machine stood still: it notices nothing of what happens now.
        process.send_signal(signal.SIGSTOP)
    try:
        with engines.kafka(tmp_path / "second", *addresses):
            await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
            async with in_background(relay(service).run()):
                for cycle in range(4, 10):
                    for task in tasks:
                        await say(service, task, cycle)

                async def all_sent_again() -> bool:
                    return len(await records(service, TOPIC)) == len(tasks) * 9

                await eventually(all_sent_again)
                process.send_signal(signal.SIGCONT)
                assert await asyncio.to_thread(process.wait, 60) != 0
                process = consuming_program(service, tmp_path / "next.log")
                await acted(service, 9)
    finally:
        process.kill()
        process.wait()
    in_order: dict[UUID, list[int]] = defaultdict(list)
    for task, what in await effects(service):
        in_order[task].append(int(what))
    assert in_order == {task: list(range(1, 10)) for task in tasks}
    assert "BrokerReplaced" in (tmp_path / "consumer.log").read_text()


@pytest.mark.slow
async def test_a_consumer_that_comes_back_is_given_partitions_that_are_new(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    """The group knows it by name and would give it what it had, though there is more to read now."""
    with engines.kafka(tmp_path / "broker") as broker:
        service = make_service("tests.support.sample", kafka_servers=broker.address, topic_partitions=1)
        await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
        process = consuming_program(service, tmp_path / "consumer.log")
        try:
            async with in_background(relay(service).run()):
                await say(service, uuid4(), 1)

                async def acted() -> bool:
                    return len(await effects(service)) == 1

                await eventually(acted)
            process.kill()
            process.wait()
            admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
            await admin.start()
            await admin.create_partitions({TOPIC: NewPartitions(8)})
            await admin.close()
            process = consuming_program(service, tmp_path / "next.log")
            tasks = {uuid4() for _ in range(40)}
            async with in_background(relay(service).run()):
                for task in tasks:
                    await say(service, task, 1)

                async def all_acted() -> bool:
                    return {task for task, _ in await effects(service)} >= tasks

                await eventually(all_acted)
        finally:
            process.kill()
            process.wait()


def consuming_program(service: Service, log: Path) -> subprocess.Popen[bytes]:
    """The sample service's consumer in a process of its own, which a test may stop and kill."""
    told = service.settings.model_dump(mode="json") | {
        "database_url": service.settings.database_url.get_secret_value()
    }
    command = [sys.executable, "-m", "tests.support.sample.consumers"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode())
    process.stdin.close()
    return process


async def seen_by_a_new_consumer(service: Service, tasks: list[UUID], cycle: int) -> list[tuple[UUID, str]]:
    """Say one fact per task and wait until it acted; the effects of all times."""
    async with in_background(relay(service).run(), consumer(service, recording()).run()):
        for task in tasks:
            await say(service, task, cycle)

        async def acted() -> bool:
            return len(await effects(service)) >= cycle * len(tasks)

        await eventually(acted)
        return sorted(await effects(service))


async def records(service: Service, topic: str) -> list[bytes]:
    """Everything the topic holds."""
    reader = AIOKafkaConsumer(
        topic, bootstrap_servers=service.settings.kafka_servers, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        ends = await reader.end_offsets(reader.assignment())
        found: list[bytes] = []
        while len(found) < sum(ends.values()):
            batches = await reader.getmany(timeout_ms=1000)
            found += [record.value for batch in batches.values() for record in batch]
        return found
    finally:
        await reader.stop()
