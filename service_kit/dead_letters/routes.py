"""Page and JSON API of dead letters for the web process of a service that consumes."""

from collections.abc import Iterable

from fastapi import APIRouter, Depends, Request

from service_kit.dead_letters import api, pages
from service_kit.events import Event
from service_kit.identity import Role, require
from service_kit.web import ServiceRouter


def dead_letter_routes(hears: Iterable[type[Event]]) -> APIRouter:
    """For administrators only; `hears` is what the service's event router hears."""
    by_type = {event.type_name(): event for event in hears}

    async def tell(request: Request) -> None:
        request.state.heard = by_type

    router = ServiceRouter(dependencies=[Depends(tell), require(Role.ADMIN)])
    router.include_router(pages.router)
    router.include_router(api.router)
    return router
