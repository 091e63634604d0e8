"""The tail of a topic over a real broker: the latest records, those that come, and nobody's offsets moved."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from local_stack.engines.kafka import Kafka
from service_kit.broker import declare_topics
from service_kit.errors import Unavailable
from service_kit.settings import ServiceSettings
from service_kit.tail import KEPT, VALUE_BYTES_MAX, Tails, positions
from tests.support.databases import settings_class
from tests.support.running import eventually
from tests.support.services import SHARED_SETTINGS


def settings_for(kafka_servers: str) -> ServiceSettings:
    values = {**SHARED_SETTINGS, "kafka_servers": kafka_servers, "topic_partitions": 2}
    return settings_class("tests.support.sample")(
        **{**values, "database_url": "postgresql://nobody@localhost:1/none"}
    )


@pytest.fixture
async def topic(kafka: Kafka) -> str:
    name = f"tail-{uuid4().hex[:8]}"
    await declare_topics(settings_for(kafka.address), [name])
    return name


@pytest.fixture
async def producer(kafka: Kafka) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as started:
        yield started


@pytest.fixture
async def tails(kafka: Kafka) -> AsyncIterator[Tails]:
    made = Tails(settings_for(kafka.address))
    yield made
    await made.close()


async def test_what_is_there_and_what_comes(topic: str, producer: AIOKafkaProducer, tails: Tails) -> None:
    """The newest first over all partitions, frame and headers told apart; new records join by themselves."""
    assert await tails.records(topic) == []
    headers = [("ce_type", b"a.b.C.v1")]
    await producer.send_and_wait(topic, b"\0\0\0\0\7{}", key=b"k", headers=headers, timestamp_ms=1_000)
    await producer.send_and_wait(topic, b"plain", partition=1, timestamp_ms=2_000)

    async def both() -> bool:
        return len(await tails.records(topic)) == 2

    await eventually(both)
    newest, oldest = await tails.records(topic)
    assert (newest.data, newest.schema_id, newest.key) == ("plain", None, "")
    assert (oldest.data, oldest.schema_id, oldest.key) == ("{}", 7, "k")
    assert oldest.headers == {"ce_type": "a.b.C.v1"}
    assert positions([newest, oldest])[1] == newest.offset


async def test_it_is_bounded(topic: str, producer: AIOKafkaProducer, tails: Tails) -> None:
    """Of many records the latest are held, of a long one the beginning."""
    for number in range(KEPT + 20):
        await producer.send(topic, str(number).encode(), partition=0)
    await producer.send_and_wait(topic, b"x" * (VALUE_BYTES_MAX + 1), partition=0)
    found = await tails.records(topic)
    assert len(found) == KEPT
    assert found[0].cut
    assert len(found[0].data) == VALUE_BYTES_MAX
    assert found[-1].data == "21"


async def test_nobody_looks_any_more(kafka: Kafka, topic: str) -> None:
    """The reader ends, and begins anew with the next question."""
    tails = Tails(settings_for(kafka.address), idle_s=0)
    await tails.records(topic)
    first = tails._tails[topic].reading

    async def over() -> bool:
        return first.done()

    await eventually(over)
    assert await tails.records(topic) == []
    await tails.close()


async def test_without_a_broker() -> None:
    """It is said to be away."""
    tails = Tails(settings_for("localhost:1"))
    with pytest.raises(Unavailable):
        await tails.records("any")
    await tails.close()
