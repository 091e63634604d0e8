"""Logs, metrics and traces: one place where each metric is named, one where the correlation id lives."""

import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import orjson
import structlog
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import Counter, Gauge, Histogram

speaking: ContextVar[tuple[str, str] | None] = ContextVar("speaking", default=None)
"""Service and process of a line in the log, where one process holds several; else as configured."""

correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
"""Follows one click through every service: request, outbox row, header, consumer, next outbox row."""

caller_address: ContextVar[str | None] = ContextVar("caller_address", default=None)
"""From where this request came; absent where nobody asked, as in a worker's timetable."""

causation_id: ContextVar[str | None] = ContextVar("causation_id", default=None)
"""The event whose handling says the next one."""

NOISY = {
    "authlib": logging.INFO,
    "aiokafka": logging.WARNING,
    "apscheduler": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
}

tracer = trace.get_tracer("ates")

REQUESTS = Counter("ates_http_requests_total", "HTTP requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "ates_http_request_seconds",
    "Time from the first byte of a request to its answer",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
OUTBOX_BACKLOG = Gauge(
    "ates_outbox_backlog_events", "Outbox rows not yet acknowledged by the broker", ["slot"]
)
RELAY_SLOTS = Gauge("ates_relay_slots", "Shares of the keys that this process sends")
OUTBOX_AGE = Gauge("ates_outbox_oldest_unsent_seconds", "Age of the oldest outbox row not yet sent")
OUTBOX_SENT = Counter("ates_outbox_sent_events_total", "Events acknowledged by the broker", ["topic"])
OUTBOX_UNCONFIRMED = Gauge(
    "ates_outbox_unconfirmed_seconds", "How long some consumer has not confirmed what was sent by then"
)
CONSUMER_LAG = Gauge(
    "ates_consumer_lag_events", "Events in the topic not yet handled", ["topic", "partition"]
)
CONSUMER_PROGRESS = Gauge("ates_consumer_last_progress_timestamp_seconds", "When a batch was last committed")
EVENTS_HANDLED = Counter(
    "ates_consumer_events_total", "Events read, by what became of them", ["event", "outcome"]
)
BATCH_SECONDS = Histogram(
    "ates_consumer_batch_seconds",
    "Time to validate and commit one batch of events",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
DEAD_LETTERS = Counter(
    "ates_dead_letters_total", "Events put aside because they can not be handled", ["reason"]
)
DEAD_LETTERS_WAITING = Gauge(
    "ates_dead_letters_waiting", "Dead letters that nobody has decided about", ["reason"]
)
DUPLICATES_DIFFERENT = Counter(
    "ates_duplicates_with_other_content_total", "Events whose id came again with other content: an alarm"
)
BROKER_ROUND_TRIP = Gauge("ates_broker_round_trip_seconds", "Last probe's way through the broker and back")
LIVE_STREAMS = Gauge("ates_live_streams", "Open pages that follow along at this process")
LETTERS = Counter("ates_letters_total", "Letters to people, by what became of them", ["outcome"])
TICKS = Counter("ates_timetable_ticks_total", "Runs of the timetable's entries", ["entry", "outcome"])


def _add_ids(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (current := correlation_id.get()) is not None:
        line.setdefault("correlation_id", current)
    return line


def configure_logging(service: str, process: str, level: str = "INFO") -> None:
    """Every line of the process, ours and the libraries', as one JSON object on standard output."""

    def add_process(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["service"], line["process"] = speaking.get() or (service, process)
        return line

    of_each: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_ids,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_process,
    ]
    # Ours do not pass through the standard library, which would take as long again as all of this.
    structlog.configure(
        processors=[*of_each, structlog.processors.JSONRenderer(serializer=_written)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=of_each,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=lambda line, **_: _written(line).decode()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These libraries print whole tokens, a line per tick or a line per lost connection when they may.
    for noisy, at_least in NOISY.items():
        logging.getLogger(noisy).setLevel(max(at_least, root.level))
    # The web framework's access line is replaced by ours, which carries the correlation id.
    logging.getLogger("uvicorn.access").disabled = True


def _written(line: object, **_options: object) -> bytes:
    return orjson.dumps(line, default=str)


def configure_tracing(service: str, endpoint: str | None) -> None:
    """Record spans where an endpoint is set; without one traces have their ids and nothing else."""
    provider = TracerProvider(
        sampler=None if endpoint else ALWAYS_OFF,
        resource=Resource.create({"service.name": service}),
    )
    if endpoint:
        # The exporter is heavy to load, and most processes have nobody to send to.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


@contextmanager
def request_span(method: str, headers: Mapping[str, str]) -> Iterator[None]:
    """The span of one request, as a child of the caller's when it sent a traceparent."""
    traceparent = headers.get("traceparent")
    parent = None if traceparent is None else propagate.extract({"traceparent": traceparent})
    with tracer.start_as_current_span(method, context=parent, kind=trace.SpanKind.SERVER):
        yield


def name_span(name: str, status: int) -> None:
    """Name the running request's span by its route, which is known only after the request was routed."""
    span = trace.get_current_span()
    span.update_name(name)
    span.set_attribute("http.response.status_code", status)


def current_traceparent() -> str | None:
    """The W3C trace context of the running span, to be stored in an outbox row."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")
