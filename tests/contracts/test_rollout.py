"""TaskCreated 1 to 2 and back (C1): producers rolled one by one, readers of both versions all the time."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from local_stack.engines.kafka import Kafka
from service_kit.broker import declare_topics
from service_kit.consumer import BatchConsumer
from service_kit.consuming import EventRouter
from service_kit.context import Context
from service_kit.database import Session
from service_kit.events import Event, Received
from service_kit.outbox import publish
from service_kit.readings import Readers
from service_kit.relay import Relay
from tests.support.running import eventually, in_background
from tests.support.sample.events import TaskCreatedV1, TaskCreatedV2
from tests.support.services import Service

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPIC = TaskCreatedV1.topic
PRODUCERS = 3
FACTS_PER_STEP = 10


class Reader:
    """A service with its own database that notes each time it acts on a task."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.acted: Counter[UUID] = Counter()

    def reading(self, *versions: type[Event]) -> BatchConsumer:
        """Its consumer as a release that declares these versions would start it."""
        router = EventRouter()
        for version in versions:
            router.on(version)(self._act)
        context = self.service.database.context
        assert isinstance(context, Context)
        return BatchConsumer(self.service.settings, self.service.database, context.schemas, router)

    async def _act(self, _session: Session, event: Received[Event]) -> None:
        assert isinstance(event.data, TaskCreatedV1 | TaskCreatedV2)
        self.acted[event.data.task_id] += 1

    def counted(self, tasks: Counter[UUID]) -> Counter[UUID]:
        """How often it acted on each of these; the topic may hold facts of others."""
        return Counter({task: times for task, times in self.acted.items() if task in tasks})

    async def has_acted_on(self, tasks: Sequence[UUID]) -> None:
        wanted = set(tasks)

        async def all_of_them() -> bool:
            return wanted <= self.acted.keys()

        # A reader that starts again waits until the broker has given up its predecessor.
        await eventually(all_of_them, within_s=90)


class Producers:
    """Processes of one service, of which some run the new release."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.new = 0
        self.said: list[UUID] = []
        self.said_in_both: list[UUID] = []

    async def say_some(self) -> None:
        """Each process in turn says facts, as its release does it."""
        for number in range(FACTS_PER_STEP):
            task = uuid4()
            created = {"task_id": task, "user_guid": uuid4(), "created_at": NOW}
            old = TaskCreatedV1(**created, title=f"[POPUG-{number}] - Paint")
            new = TaskCreatedV2(**created, title="Paint", jira_id=f"POPUG-{number}")
            facts: tuple[Event, ...] = (old, new) if number % PRODUCERS < self.new else (old,)
            async with self.service.transaction() as session:
                await publish(session, *facts, key=task, occurred_at=NOW)
            self.said.append(task)
            if len(facts) > 1:
                self.said_in_both.append(task)

    async def roll(self, steps: Sequence[int]) -> None:
        for new in steps:
            self.new = new
            await self.say_some()


@pytest.fixture
async def producers(make_service: Callable[..., Service], kafka: Kafka) -> Producers:
    service = make_service("tests.support.sample", kafka_servers=kafka.address, topic_partitions=2)
    await declare_topics(service.settings, [TOPIC])
    return Producers(service)


@pytest.mark.slow
async def test_producers_are_rolled_there_and_back(
    producers: Producers, make_service: Callable[..., Service], kafka: Kafka
) -> None:
    """Nothing is lost or counts twice: for readers of 1, of 2, of both, and for one that changes over."""
    names = ("billing", "analytics", "tracker", "auth_service")
    of_one, of_two, of_both, changing = (
        Reader(make_service(name, kafka_servers=kafka.address)) for name in names
    )
    relay = Relay(producers.service.settings, [TOPIC])
    async with in_background(
        relay.run(),
        of_one.reading(TaskCreatedV1).run(),
        of_two.reading(TaskCreatedV2).run(),
        of_both.reading(TaskCreatedV1, TaskCreatedV2).run(),
    ):
        # There: producers first, one after the other, then the reader.
        async with in_background(changing.reading(TaskCreatedV1).run()):
            await producers.roll(range(PRODUCERS + 1))
            await changing.has_acted_on(producers.said)
            await producers.say_some()
        async with in_background(changing.reading(TaskCreatedV2).run()):
            await producers.say_some()
            await changing.has_acted_on(producers.said)
            await producers.say_some()
        # And back: the reader first, then the producers.
        async with in_background(changing.reading(TaskCreatedV1).run()):
            await producers.say_some()
            await changing.has_acted_on(producers.said)
            await producers.roll(range(PRODUCERS, -1, -1))
            for reader in (changing, of_one, of_both):
                await reader.has_acted_on(producers.said)
        await of_two.has_acted_on(producers.said_in_both)
    once = Counter(producers.said)
    for reader in (changing, of_one, of_both):
        assert reader.counted(once) == once
    assert of_two.counted(once) == Counter(producers.said_in_both)
    await is_noted(producers.service, of_one, of_two, of_both, changing)


async def is_noted(
    service: Service, of_one: Reader, of_two: Reader, of_both: Reader, changing: Reader
) -> None:
    """Beside their offsets stands which versions the readers acted on, of earlier releases too."""
    groups = {reader.service.settings.name: reader for reader in (of_one, of_two, of_both, changing)}
    readers = Readers(service.settings)
    try:
        found = await readers.readings(groups)
    finally:
        await readers.close()
    assert found is not None
    acted = {group: {name for name, one in seen.items() if one.read_at} for group, seen in found.items()}
    both = {TaskCreatedV1.type_name(), TaskCreatedV2.type_name()}
    assert {groups[group].service.package: names for group, names in acted.items()} == {
        of_one.service.package: {TaskCreatedV1.type_name()},
        of_two.service.package: {TaskCreatedV2.type_name()},
        of_both.service.package: both,
        changing.service.package: both,
    }
    for group in groups:
        assert both <= found[group].keys(), "what it lets pass it has come by"
