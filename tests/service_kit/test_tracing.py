"""One trace from the click to the row that leaves the service."""

from datetime import UTC, datetime
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from service_kit.outbox import publish
from service_kit.telemetry import request_span
from tests.support.sample.events import TaskCompleted
from tests.support.services import Service

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_callers_trace_travels_in_the_outbox_row(sample: Service) -> None:
    trace.set_tracer_provider(TracerProvider())
    fact = TaskCompleted(task_id=uuid4(), user_guid=uuid4(), cycle=1, completed_at=NOW)
    with request_span("POST", {"traceparent": CALLER}):
        async with sample.transaction() as session:
            await publish(session, fact, key=fact.task_id, occurred_at=NOW)
    (row,) = await sample.said()
    _, trace_id, span_id, _ = row["traceparent"].split("-")
    assert trace_id == CALLER.split("-")[1]
    assert span_id != CALLER.split("-")[2]
