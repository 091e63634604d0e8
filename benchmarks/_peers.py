"""Billing's consumer inside other people's frameworks, one process each, for `benchmarks.backbone`.

What is done with a record is the same code: read, checked against its contract, posted in one transaction
with its proof and its facts. What differs is how records come and how they are acknowledged: a plain Faust
agent or a FastStream subscriber, record by record as their first pages show it, or by the batches that both
offer. Neither has a relay beside it, and that of our worker rests meanwhile.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import faust
from aiokafka import ConsumerRecord
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from billing.consumers import router
from billing.events import SAYS
from billing.settings import BillingSettings
from service_kit import telemetry
from service_kit.clock import SystemClock
from service_kit.consumer import BATCH
from service_kit.context import Context
from service_kit.database import Database
from service_kit.handling import RecordHandler
from service_kit.schema_client import SchemaClient

TOPIC = "tracker.tasks"
WITHIN_S = 0.05


async def handler() -> RecordHandler:
    settings = BillingSettings()
    schemas = SchemaClient.configured(settings)
    await schemas.load(SAYS)
    context = Context(settings, SystemClock.of(settings), schemas)
    url = settings.database_url.get_secret_value()
    return RecordHandler(Database(url, pool_size=8, context=context, name="peer"), schemas, router)


def with_faust(*, batches: bool) -> None:
    app = faust.App(
        "peer-faust",
        broker=f"kafka://{BillingSettings().kafka_servers}",
        web_enabled=False,
        store="memory://",
        datadir=tempfile.mkdtemp(),
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    made: list[RecordHandler] = []

    topic = app.topic(TOPIC, value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(topic)
    async def post(stream: Any) -> None:
        made.append(await handler())
        if batches:
            async for events in stream.take_events(BATCH, within=WITHIN_S):
                await made[0].handle([_record(event.message) for event in events])
        else:
            async for event in stream.events():
                await made[0].handle([_record(event.message)])

    worker = faust.Worker(app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()


def _record(message: Any) -> ConsumerRecord:
    """What Faust made of a record, as it came."""
    return ConsumerRecord(
        message.topic,
        message.partition,
        message.offset,
        int(message.timestamp * 1000),
        message.timestamp_type,
        message.key,
        message.value,
        message.checksum,
        len(message.key),
        len(message.value),
        message.headers if isinstance(message.headers, tuple | list) else tuple(message.headers.items()),
    )


def with_faststream(*, batches: bool) -> None:
    broker = KafkaBroker(BillingSettings().kafka_servers, logger=None)
    made: list[RecordHandler] = []
    options: dict[str, Any] = {"batch": True, "max_records": BATCH} if batches else {}

    async def as_it_came(message: KafkaMessage) -> bytes | tuple[bytes, ...]:
        return message.body

    @broker.subscriber(
        TOPIC,
        group_id="peer-faststream",
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        decoder=as_it_came,
        **options,
    )  # type: ignore[untyped-decorator]  # its options are given as a mapping
    async def post(message: KafkaMessage) -> None:
        if not made:
            made.append(await handler())
        raw = message.raw_message
        records: Sequence[ConsumerRecord] = raw if isinstance(raw, tuple) else (raw,)
        await made[0].handle(records)

    asyncio.run(FastStream(broker).run())


PEERS = {
    "faust": lambda: with_faust(batches=False),
    "faust-batches": lambda: with_faust(batches=True),
    "faststream": lambda: with_faststream(batches=False),
    "faststream-batches": lambda: with_faststream(batches=True),
}


if __name__ == "__main__":
    telemetry.configure_logging("billing", "peer", "WARNING")
    PEERS[sys.argv[1]]()
