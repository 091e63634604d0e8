"""The web process."""

from fastapi import FastAPI

from analytics import api, consumers, pages
from analytics.settings import AnalyticsSettings
from service_kit.dead_letters.routes import dead_letter_routes
from service_kit.identity import Role
from service_kit.live.streams import Topics, live_routes, live_updates
from service_kit.tracing.pages import trace_routes
from service_kit.web import create_app


def web(settings: AnalyticsSettings) -> FastAPI:
    letters = dead_letter_routes(consumers.router.hears)
    routers = [pages.router, api.router, live_routes(FOLLOWED), letters, trace_routes()]
    return create_app(
        settings, title="aTES analytics", package="analytics", routers=routers, setup=live_updates
    )


FOLLOWED: Topics = {"today": lambda user, _argument: "today" if user.is_any(Role.ADMIN) else None}
"""What pages of analytics may follow."""
