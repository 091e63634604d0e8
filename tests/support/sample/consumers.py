"""What the sample service does with what it hears, and a program that does nothing else."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert

from service_kit.clock import SystemClock
from service_kit.consumer import BatchConsumer
from service_kit.consuming import EventRouter
from service_kit.context import Context
from service_kit.database import Database, Session
from service_kit.events import Received
from service_kit.schema_client import SchemaClient
from tests.support.sample.events import TaskCompleted
from tests.support.sample.models import Effect
from tests.support.sample.settings import SampleSettings
from tests.support.schemas import files_as_registry


def recording() -> EventRouter:
    """Writes one effect per event: the task and the cycle."""
    router = EventRouter()

    @router.on_batch(TaskCompleted)
    async def record(session: Session, events: Sequence[Received[TaskCompleted]]) -> None:
        rows = [{"task_id": event.data.task_id, "what": str(event.data.cycle)} for event in events]
        await session.execute(insert(Effect), rows)

    return router


async def consume(told: dict[str, Any]) -> None:
    """Consume until killed, with these settings."""
    settings = SampleSettings(**told)
    schemas = SchemaClient(settings.registry_url, transport=files_as_registry())
    url = settings.database_url.get_secret_value()
    database = Database(url, context=Context(settings, SystemClock(), schemas))
    await BatchConsumer(settings, database, schemas, recording(), instance="sample-0").run()


if __name__ == "__main__":
    asyncio.run(consume(json.load(sys.stdin)))
