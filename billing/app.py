"""Composition of the web process."""

from fastapi import FastAPI

from billing import api, consumers, pages
from billing.settings import BillingSettings
from service_kit.dead_letters.routes import dead_letter_routes
from service_kit.web import create_app


def web(settings: BillingSettings) -> FastAPI:
    """Make the ASGI application."""
    letters = dead_letter_routes(consumers.router.hears)
    routers = [api.router, pages.router, letters]
    return create_app(settings, title="aTES billing", package="billing", routers=routers)
