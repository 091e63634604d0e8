"""What becomes of records of the broker: events with their effect in one transaction, or dead letters.

What can never be handled becomes a dead letter; trouble of database, registry or network is tried again with
growing delay while the records wait, so that the order per key holds.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import orjson
import structlog
from aiokafka import ConsumerRecord
from opentelemetry import propagate, trace
from sqlalchemy.exc import DBAPIError

from service_kit import telemetry
from service_kit.consuming import EventRouter
from service_kit.database import Database, will_pass
from service_kit.dead_letters import Undeliverable, put_aside
from service_kit.errors import ServiceError, Unavailable
from service_kit.events import Event, Received
from service_kit.ids import id_in
from service_kit.inbox import first_time
from service_kit.readings import Notes
from service_kit.records import Unreadable, event_of, framed, headers_of
from service_kit.schema_client import Schema, SchemaClient

log = structlog.get_logger(__name__)

LONGEST_DELAY_S = 10.0
DEAD_LETTERS_IN_A_ROW = 100
"""More than this without one good event between them is a fault of ours, not of the events."""

LINKS = 32
SLICE = 50
"""Records are read in slices of so many, between which others get their turn: a batch waits for the database
while the next one is read."""

T = TypeVar("T")


class TooManyDeadLetters(Exception):
    """The consumer stops instead of draining the topic into dead letters."""


@dataclass(frozen=True, slots=True)
class _Poison:
    """A record that can not even be read, and why."""

    reason: str
    detail: str


class RecordHandler:
    """Handles records of the broker; made once per process."""

    def __init__(self, database: Database, schemas: SchemaClient, router: EventRouter) -> None:
        self._database = database
        self._schemas = schemas
        self._router = router
        self._dead_in_a_row = 0
        self._without_contract: set[type[Event]] = set()
        self.notes = Notes()

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Give each record its effect, in their order. Raises `TooManyDeadLetters`."""
        events: list[Received[Event]] = []
        origin: dict[int, ConsumerRecord] = {}
        for number, record in enumerate(records):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            parsed = await self._parse(record)
            if isinstance(parsed, _Poison):
                # What came before it is handled first, so that the order per key holds.
                await self._act(events, origin)
                events, origin = [], {}
                await self._put_aside(record, parsed.reason, parsed.detail)
            elif parsed is not None:
                origin[id(parsed)] = record
                events.append(parsed)
        await self._act(events, origin)

    async def _act(self, events: list[Received[Event]], origin: dict[int, ConsumerRecord]) -> None:
        """Handle the events in one transaction; when one of them spoils it, each half by itself."""
        if not events:
            return
        started = time.perf_counter()
        try:
            await _patiently(lambda: self._transact(events))
        except Exception as error:
            if len(events) == 1:
                reason = error.code if isinstance(error, ServiceError) else type(error).__name__
                log.exception("event_not_handled", event_id=str(events[0].event_id))
                # The database's own words; the statement around them is for whoever reads the log.
                told = error.orig if isinstance(error, DBAPIError) else error
                await self._put_aside(origin[id(events[0])], reason, str(told))
                return
            middle = len(events) // 2
            await self._act(events[:middle], origin)
            await self._act(events[middle:], origin)
            return
        self._dead_in_a_row = 0
        for event in events:
            record = origin[id(event)]
            self.notes.read(record.topic, record.partition, event.data.type_name(), record.timestamp)
        telemetry.BATCH_SECONDS.observe(time.perf_counter() - started)

    async def _transact(self, events: Sequence[Received[Event]]) -> None:
        with telemetry.tracer.start_as_current_span("handle_events", links=_links(events)):
            async with self._database.transaction() as session:
                fresh = await first_time(session, events)
                await self._router.handle(session, fresh)
        for name, count in Counter(event.data.name for event in fresh).items():
            telemetry.EVENTS_HANDLED.labels(name, "handled").inc(count)
        if len(fresh) < len(events):
            telemetry.EVENTS_HANDLED.labels("any", "duplicate").inc(len(events) - len(fresh))

    async def _parse(self, record: ConsumerRecord) -> Received[Event] | _Poison | None:
        """The event; why it is none; or None for an event this service does not hear."""
        headers = headers_of(record)
        type_name = headers.get("ce_type")
        if type_name is None:
            return _Poison("no_type", "the record has no ce_type header")
        kind = self._router.event_of(type_name)
        if kind is None:
            self.notes.passed(record.topic, record.partition, type_name, record.timestamp)
            return None
        schema_id, data = framed(record.value or b"")
        try:
            if schema_id is None:
                schema = await self._contract(kind)
            else:
                schema = self._schemas.known(schema_id) or await self._schema(schema_id)
            if schema is not None:
                schema.refuse_invalid(orjson.loads(data))
            return event_of(record, kind, headers, data)
        except Unreadable as error:
            return _Poison(error.reason, str(error))
        except orjson.JSONDecodeError as error:
            return _Poison("not_json", str(error))
        except ServiceError as error:
            return _Poison(error.code, str(error))

    async def _schema(self, schema_id: int) -> Schema:
        return await _patiently(lambda: self._schemas.by_id(schema_id))

    async def _contract(self, kind: type[Event]) -> Schema | None:
        """What a value without a frame has to keep to; None where nobody has registered a contract."""
        if kind in self._without_contract:
            return None
        found = await _patiently(lambda: self._schemas.find(kind))
        if found is None:
            # Asked once in the life of a process: another record of the kind would only be told the same.
            log.warning("event_without_contract", event_type=kind.type_name())
            self._without_contract.add(kind)
        return found

    async def _put_aside(self, record: ConsumerRecord, reason: str, detail: str) -> None:
        if self._dead_in_a_row >= DEAD_LETTERS_IN_A_ROW:
            raise TooManyDeadLetters(
                f"{self._dead_in_a_row} events in a row could not be handled; the last: {reason}: {detail}"
            )
        headers = headers_of(record)
        undeliverable = Undeliverable(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=headers,
            event_id=id_in(headers.get("ce_id", "")),
        )

        async def keep() -> None:
            async with self._database.transaction() as session:
                await put_aside(session, undeliverable, reason=reason, detail=detail)

        await _patiently(keep)
        self._dead_in_a_row += 1
        telemetry.EVENTS_HANDLED.labels("any", "dead").inc()


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do it until nothing transient stands in its way; the records wait meanwhile."""
    delay_s = 0.1
    while True:
        try:
            return await work()
        except Exception as error:
            if not (isinstance(error, Unavailable) or will_pass(error)):
                raise
            log.warning("waiting", error=type(error).__name__, detail=str(error)[:300], delay_s=delay_s)
        # Not everybody at the same moment: what was away would be met by all at once.
        await asyncio.sleep(delay_s * random.uniform(0.5, 1))  # noqa: S311  not a secret
        delay_s = min(delay_s * 2, LONGEST_DELAY_S)


def _links(events: Sequence[Received[Event]]) -> list[trace.Link]:
    """The traces of the events in the batch, as links of the batch's one span."""
    carriers = [{"traceparent": event.traceparent} for event in events[:LINKS] if event.traceparent]
    spans = [trace.get_current_span(propagate.extract(carrier)) for carrier in carriers]
    return [trace.Link(span.get_span_context()) for span in spans]
