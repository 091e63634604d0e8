"""The web process."""

from fastapi import FastAPI

from analytics import api, consumers, pages
from analytics.settings import AnalyticsSettings
from service_kit.dead_letters.routes import dead_letter_routes
from service_kit.web import create_app


def web(settings: AnalyticsSettings) -> FastAPI:
    letters = dead_letter_routes(consumers.router.hears)
    routers = [pages.router, api.router, letters]
    return create_app(settings, title="aTES analytics", package="analytics", routers=routers)
