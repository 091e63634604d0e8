"""Composition of the web process."""

from fastapi import FastAPI

from billing import api, pages
from billing.settings import BillingSettings
from service_kit.web import create_app


def web(settings: BillingSettings) -> FastAPI:
    """Make the ASGI application."""
    return create_app(settings, title="aTES billing", package="billing", routers=[api.router, pages.router])
