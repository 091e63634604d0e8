"""A bad line to a broker that itself is well: work waits, and each event acts once and in order."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from local_stack.chaos.lines import Line, open_line
from local_stack.engines.kafka import Kafka
from local_stack.ports import LOOPBACK
from service_kit.broker import declare_topics
from tests.service_kit.test_database_in_trouble import all_of, broken
from tests.service_kit.test_delivery import TOPIC, consumer, forget, relay, say
from tests.support.running import eventually, in_background
from tests.support.sample.consumers import recording
from tests.support.services import Service


@pytest.fixture
async def line(kafka: Kafka) -> AsyncIterator[Line]:
    ((listener, port),) = kafka.lines.items()
    async with open_line(lambda: (LOOPBACK, listener), port) as line:
        yield line


@pytest.fixture
async def sample(make_service: Callable[..., Service], kafka: Kafka, line: Line) -> Service:
    await forget(kafka)
    service = make_service(
        "tests.support.sample", kafka_servers=f"{LOOPBACK}:{line.port}", topic_partitions=2
    )
    await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
    return service


async def consuming(service: Service) -> None:
    """As its process is started again whenever it ends."""
    while True:
        try:
            await consumer(service, recording(), batch=3).run()
        except (KafkaError, TimeoutError, OSError):
            continue


async def test_without_a_broker_it_is_told_how_long_facts_have_waited(
    make_service: Callable[..., Service],
) -> None:
    """No slot has an owner then; the alert about waiting facts goes by this figure."""
    service = make_service("tests.support.sample", kafka_servers=f"{LOOPBACK}:1")
    await say(service, uuid4(), 1)
    async with in_background(relay(service).run()):

        async def told() -> bool:
            return bool(REGISTRY.get_sample_value("ates_outbox_oldest_unsent_seconds"))

        assert await eventually(told)


@pytest.mark.parametrize("trouble", ["pause", "reset", "half open"])
async def test_a_bad_line_to_the_broker_loses_and_doubles_nothing(
    sample: Service, line: Line, trouble: str
) -> None:
    """It breaks under relay and consumer, wherever their work is just then."""
    tasks, cycles = [uuid4() for _ in range(4)], range(1, 7)
    async with in_background(relay(sample).run(), consuming(sample)):
        for cycle in cycles:
            for task in tasks:
                await say(sample, task, cycle)
            if trouble != "half open":
                await broken(sample, line, trouble, at_least=2 * cycle)
            elif cycle == 2:  # once, as nobody is told and everybody has to wait until they give up
                await all_of(sample, len(tasks))
                line.lose()
        found = await all_of(sample, len(tasks) * len(cycles), within_s=60)
    for task in tasks:
        assert [what for who, what in found if who == task] == [str(cycle) for cycle in cycles]
    assert len(found) == len(tasks) * len(cycles)
