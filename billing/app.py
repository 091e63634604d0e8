"""Composition of the web process."""

from fastapi import FastAPI

from billing import api, consumers, pages, queries
from billing.settings import BillingSettings
from service_kit.dead_letters.routes import dead_letter_routes
from service_kit.live.streams import Topics, live_routes, live_updates
from service_kit.tracing.pages import trace_routes
from service_kit.web import create_app


def web(settings: BillingSettings) -> FastAPI:
    """Make the ASGI application."""
    letters = dead_letter_routes(consumers.router.hears)
    trace = trace_routes(booked=queries.bookings, events_of=queries.events_of_entry)
    routers = [api.router, pages.router, live_routes(FOLLOWED), letters, trace]
    return create_app(settings, title="aTES billing", package="billing", routers=routers, setup=live_updates)


FOLLOWED: Topics = {
    "mine": lambda user, _argument: f"account:{user.guid}",
    "account": lambda user, argument: f"account:{argument}" if user.is_any(*pages.ACCOUNTANTS) else None,
    "books": lambda user, _argument: "books" if user.is_any(*pages.ACCOUNTANTS) else None,
}
"""What pages of billing may follow."""
