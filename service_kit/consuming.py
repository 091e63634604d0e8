"""Which function handles which event: plain typed functions on a router, like the routes of an API."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from service_kit.database import Session
from service_kit.events import Event, Received
from service_kit.telemetry import causation_id, correlation_id

E = TypeVar("E", bound=Event)
OneHandler = Callable[[Session, Received[E]], Awaitable[None]]
BatchHandler = Callable[[Session, Sequence[Received[Any]]], Awaitable[None]]
BH = TypeVar("BH", bound=BatchHandler)


@contextmanager
def caused_by(event: Received[Event]) -> Iterator[None]:
    """Logs and facts of what runs inside carry the event's correlation id and name it as their cause."""
    correlation, causation = correlation_id.set(event.correlation_id), causation_id.set(str(event.event_id))
    try:
        yield
    finally:
        correlation_id.reset(correlation)
        causation_id.reset(causation)


@dataclass(frozen=True)
class _Route:
    event: type[Event]
    handle: BatchHandler


class EventRouter:
    """The events a service hears.

        @router.on(TaskCompleted)
        async def on_task_completed(session: Session, event: Received[TaskCompleted]) -> None: ...

    A handler runs inside the consumer's transaction and sees each event once. When it raises `Invalid` the
    event becomes a dead letter; trouble of database or network is tried again.
    """

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}
        self._returning: set[str] = set()

    @property
    def topics(self) -> set[str]:
        return {route.event.topic for route in self._routes.values()} | self._returning

    def also_read(self, topic: str) -> None:
        """Read the same events on this topic as well: where dead letters come back."""
        self._returning.add(topic)

    @property
    def hears(self) -> list[type[Event]]:
        return [route.event for route in self._routes.values()]

    def on(self, event: type[E]) -> Callable[[OneHandler[E]], OneHandler[E]]:
        """Handle each event of this type by itself."""

        def register(handler: OneHandler[E]) -> OneHandler[E]:
            async def each(session: Session, received: Sequence[Received[E]]) -> None:
                for one in received:
                    with caused_by(one):
                        await handler(session, one)

            self._add(event, each)
            return handler

        return register

    def on_batch(self, *events: type[Event]) -> Callable[[BH], BH]:
        """Handle runs of these events together, in their order, with statements for the whole run."""

        def register(handler: BH) -> BH:
            for event in events:
                self._add(event, handler)
            return handler

        return register

    def event_of(self, type_name: str) -> type[Event] | None:
        """The class declared for this CloudEvents type; None when the service does not hear it."""
        route = self._routes.get(type_name)
        return route.event if route else None

    async def handle(self, session: Session, events: Sequence[Received[Event]]) -> None:
        """Give the events to their handlers in order; a run of one handler's events is one call."""
        for handler, run in groupby(events, key=lambda one: self._routes[one.data.type_name()].handle):
            await handler(session, list(run))

    def _add(self, event: type[Event], handler: BatchHandler) -> None:
        if event.type_name() in self._routes:
            raise ValueError(f"{event.type_name()} has two handlers")
        self._routes[event.type_name()] = _Route(event, handler)
