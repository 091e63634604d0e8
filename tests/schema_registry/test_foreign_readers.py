"""Our events, said through outbox and relay, read by programs that know nothing of this exchange."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from cloudevents.kafka import KafkaMessage, from_binary

from billing.events import PayoutMade, TaskPriced
from local_stack.engines.kafka import Kafka
from schema_registry.domain.consuming_code import Code, consuming_code
from schema_registry.domain.contracts import read_contracts
from service_kit.broker import declare_topics
from service_kit.context import Context
from service_kit.outbox import publish
from service_kit.relay import Relay
from service_kit.schema_client import SchemaClient
from tests.support.running import in_background
from tests.support.schemas import SCHEMAS
from tests.support.services import Service

NOON = datetime(2026, 3, 2, 9, tzinfo=UTC)
FRAMED, PLAIN = PayoutMade.topic, TaskPriced.topic
READ_WITHIN_S = 60
CONTRACT = next(one for one in read_contracts(SCHEMAS) if one.name == "PayoutMade")


@pytest.fixture
async def user(make_service: Callable[..., Service], kafka: Kafka, address: str) -> UUID:
    """Whom a payout was made to, said on a framed topic; a price of that id was said on a plain one."""
    service = make_service("billing", kafka_servers=kafka.address, topic_framing={PLAIN: "plain"})
    # Ids are those of the running registry, so that others can ask it for what stands in the frame.
    known = service.database.context
    assert isinstance(known, Context)
    service.database.context = Context(known.settings, known.clock, SchemaClient(address))
    await declare_topics(service.settings, [FRAMED, PLAIN])
    user = uuid4()
    async with service.transaction() as session:
        paid = {"amount_cents": 2300, "business_date": date(2026, 3, 2), "paid_at": NOON}
        await publish(
            session, PayoutMade(payout_id=uuid4(), user_guid=user, **paid), key=user, occurred_at=NOON
        )
        priced = TaskPriced(task_id=user, fee_cents=1500, reward_cents=2500, priced_at=NOON)
        await publish(session, priced, key=user, occurred_at=NOON)
    async with in_background(Relay(service.settings, [FRAMED, PLAIN]).run()):
        for topic in (FRAMED, PLAIN):
            await record_of(kafka, topic, user)
    return user


async def record_of(kafka: Kafka, topic: str, key: UUID) -> ConsumerRecord:
    """The record of that key, read by nothing but aiokafka."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.address, auto_offset_reset="earliest")
    async with asyncio.timeout(READ_WITHIN_S), consumer:
        async for record in consumer:
            if record.key == str(key).encode():
                return record
    raise AssertionError("the topic has ended")


async def test_plain_aiokafka(user: UUID, kafka: Kafka) -> None:
    """The documented five bytes and JSON behind them; attributes are headers of text."""
    record = await record_of(kafka, FRAMED, user)
    assert record.value is not None
    assert record.value[0] == 0
    assert json.loads(record.value[5:])["userGuid"] == str(user)
    assert dict(record.headers)["ce_type"] == b"billing.ledger.PayoutMade.v1"


async def test_the_sdk_of_cloudevents(user: UUID, kafka: Kafka) -> None:
    """On a plain topic its binary mode reads the event whole."""
    record = await record_of(kafka, PLAIN, user)
    assert record.value is not None
    event = from_binary(KafkaMessage(headers=dict(record.headers), key=record.key, value=record.value))
    assert event.data == {
        "taskId": str(user),
        "feeCents": 1500,
        "rewardCents": 2500,
        "pricedAt": "2026-03-02T09:00:00Z",
    }
    assert (event["type"], event["source"]) == ("billing.prices.TaskPriced.v1", "/billing")
    assert datetime.fromisoformat(event["time"]) == NOON


def program(language: str, kafka: Kafka, address: str) -> str:
    """What the catalogue gives to copy, for a group of its own."""
    found: dict[str, Code] = {
        one.language: one
        for one in consuming_code(
            CONTRACT, CONTRACT.latest, kafka_servers=kafka.address, registry_url=address, framed=True
        )
    }
    return found[language].text.replace("my-service", f"reader-{uuid4()}")


async def output_until(word: str, *command: str, folder: Path) -> str:
    """What the program has said until the word; it would read on for ever."""
    running = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert running.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            while word not in said and (line := await running.stdout.readline()):
                said += line.decode()
    except TimeoutError:
        said += "(nothing more)"
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
    return said


@pytest.mark.parametrize("language", ["Python", "Python, checked by the registry"])
async def test_copied_python(user: UUID, kafka: Kafka, address: str, tmp_path: Path, language: str) -> None:
    """It runs as it was copied, alone and with the registry's deserialiser."""
    file = tmp_path / "reader.py"
    file.write_text(program(language, kafka, address))
    assert str(user) in await output_until(str(user), sys.executable, "-u", str(file), folder=tmp_path)


async def test_copied_python_goes_on_behind_a_record_that_breaks_its_contract(
    user: UUID, kafka: Kafka, address: str, tmp_path: Path
) -> None:
    whole = await record_of(kafka, FRAMED, user)
    assert whole.value is not None
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
        await producer.send_and_wait(FRAMED, whole.value[:5] + b"{}", headers=list(whole.headers))
    file = tmp_path / "reader.py"
    file.write_text(program("Python, checked by the registry", kafka, address))
    assert "put aside:" in await output_until("put aside:", sys.executable, "-u", str(file), folder=tmp_path)


async def test_copied_javascript(
    user: UUID, kafka: Kafka, address: str, tmp_path: Path, node_modules: Path
) -> None:
    """It unpacks what the relay packs."""
    (tmp_path / "node_modules").symlink_to(node_modules)
    file = tmp_path / "reader.mjs"
    file.write_text(program("JavaScript", kafka, address))
    assert str(user) in await output_until(str(user), "node", str(file), folder=tmp_path)
