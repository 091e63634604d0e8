"""The page of an event's way, for administrators, and the part of it that other services' pages ask for."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service_kit.context import context
from service_kit.database import ReadSession
from service_kit.dead_letters import words
from service_kit.identity import Role, require
from service_kit.ids import id_in
from service_kit.navigation import SERVICE_LABELS
from service_kit.pages import render
from service_kit.serving.transactions import Reading, ServiceRouter
from service_kit.tracing.reading import Hop, Way, way_of

HOME = "/trace"
TRACING = ("auth", "tracker", "billing", "analytics")
"""Services whose web process has this page."""

ID_MAX = 300
EVENTS_AT_ONCE = 50
Wanted = Annotated[str, Query(alias="id", max_length=ID_MAX, pattern=r"^[^\x00]*$")]
Events = Annotated[list[UUID] | None, Query(alias="event", max_length=EVENTS_AT_ONCE)]

Booked = Callable[[ReadSession, Sequence[UUID]], Awaitable[Sequence[Hop]]]
"""What a service wrote because of these events, beyond inbox and outbox."""

EventsOf = Callable[[ReadSession, UUID], Awaitable[Collection[UUID]]]
"""The events that a thing of the service's own follows from, or that tell of it: an entry of the ledger."""


def trace_routes(booked: Booked | None = None, events_of: EventsOf | None = None) -> APIRouter:
    """Pages of the way of events, as this service saw it."""
    router = ServiceRouter(include_in_schema=False, dependencies=[require(Role.ADMIN)])

    async def found(session: ReadSession, wanted: str, events: Sequence[UUID]) -> Way:
        if not wanted:
            return Way()
        given = set(events)
        if events_of is not None and (thing := id_in(wanted)) is not None:
            given.update(await events_of(session, thing))
        way = await way_of(session, wanted, given)
        if booked is not None:
            way.hops += await booked(session, list(way.events | given))
            way.hops.sort(key=lambda hop: (hop.at, hop.order))
        return way

    @router.get(HOME)
    async def show_way(request: Request, session: Reading, wanted: Wanted = "") -> Response:
        wanted = wanted.strip()
        settings = context(session).settings
        others = [
            {
                "label": str(SERVICE_LABELS[name]),
                "href": settings.public_urls[name].rstrip("/") + HOME,
            }
            for name in TRACING
            if name != settings.name and name in settings.public_urls
        ]
        way = await found(session, wanted, ())
        return render(request, "trace.html", _values(settings.name, wanted, way) | {"others": others})

    @router.get(HOME + "/hops")
    async def show_hops(
        request: Request, session: Reading, wanted: Wanted = "", events: Events = None
    ) -> Response:
        way = await found(session, wanted.strip(), events or ())
        return render(request, "trace.html", _values(context(session).settings.name, wanted, way), "hops")

    return router


def _values(service: str, wanted: str, way: Way) -> dict[str, Any]:
    label = SERVICE_LABELS[service]
    return {
        "wanted": wanted,
        "way": way,
        "service": service,
        "service_label": label,
        "actions": words.ACTIONS,
    }
