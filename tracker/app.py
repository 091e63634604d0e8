"""Composition of the web process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from service_kit.dead_letters.routes import dead_letter_routes
from service_kit.live.streams import Topics, live_routes, live_updates
from service_kit.settings import ServiceSettings
from service_kit.text import shown
from service_kit.tracing.pages import trace_routes
from service_kit.web import Runtime, create_app
from tracker import api, consumers, pages
from tracker.domain import STATUS_LABELS, Status
from tracker.events import SAYS
from tracker.pages.importing import IMPORT_BYTES_MAX
from tracker.settings import TrackerSettings


def web(settings: ServiceSettings) -> FastAPI:
    """Make the ASGI application."""
    return create_app(
        settings,
        title="aTES tracker",
        package="tracker",
        routers=[
            api.router,
            *pages.ROUTERS,
            live_routes(FOLLOWED),
            dead_letter_routes(consumers.router.hears),
            trace_routes(),
        ],
        uploads={"/imports": IMPORT_BYTES_MAX},
        says=SAYS,
        setup=_set_up,
    )


FOLLOWED: Topics = {
    "mine": lambda user, _argument: f"person:{user.guid}",
    "tasks": lambda _user, _argument: "tasks",
    "task": lambda _user, argument: f"task:{argument}",
    "distributions": lambda user, _argument: "distributions" if user.is_any(*pages.RUNNERS) else None,
    "import": lambda user, argument: f"import:{argument}" if user.is_any(*pages.RUNNERS) else None,
}
"""What pages of the tracker may follow."""


@asynccontextmanager
async def _set_up(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    async with _words_of_the_house(app, runtime), live_updates(app, runtime):
        yield


@asynccontextmanager
async def _words_of_the_house(_app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Let templates name the two states as the settings say (C2)."""
    assert isinstance(runtime.settings, TrackerSettings)  # noqa: S101  narrows the type for mypy
    labels = STATUS_LABELS[runtime.settings.status_words]

    def status_label(status: str) -> str:
        return str(shown(labels[Status(status)]))

    runtime.pages.know(status_label=status_label)
    yield
