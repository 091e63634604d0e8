"""The web process."""

from fastapi import FastAPI

from analytics import api, pages
from analytics.settings import AnalyticsSettings
from service_kit.web import create_app


def web(settings: AnalyticsSettings) -> FastAPI:
    return create_app(
        settings, title="aTES analytics", package="analytics", routers=[pages.router, api.router]
    )
