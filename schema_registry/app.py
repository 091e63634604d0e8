"""Composition of the web process: the contract files are registered before it answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI

from schema_registry import api, commands, pages
from schema_registry.api.answers import REFUSALS, ConfluentErrors, RegistryAnswer, on_registry_error
from schema_registry.api.context_paths import ContextPaths
from schema_registry.api.kept_answers import Changes, KeptAnswers
from schema_registry.api.rights import Credentials, Reader
from schema_registry.commands.auditing import CHANGES
from schema_registry.domain.contracts import read_contracts
from schema_registry.domain.errors import RegistryError
from schema_registry.settings import RegistrySettings
from service_kit.listening import listen
from service_kit.readings import Readers
from service_kit.serving.beside import beside
from service_kit.settings import ServiceSettings
from service_kit.tail import Tails
from service_kit.web import Runtime, ServiceRouter, create_app

log = structlog.get_logger(__name__)


def web(settings: ServiceSettings) -> FastAPI:
    """Make the ASGI application."""
    gate = ServiceRouter(dependencies=[Reader])
    gate.include_router(pages.router)
    for router in (pages.start, *api.routers):
        gate.include_router(router, responses=REFUSALS, default_response_class=RegistryAnswer)
    app = create_app(
        settings,
        title="aTES schema registry",
        package="schema_registry",
        routers=[gate],
        setup=_ready,
    )
    app.add_exception_handler(RegistryError, on_registry_error)
    assert isinstance(settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    app.state.changes = Changes()
    app.state.credentials = Credentials()
    app.add_middleware(ConfluentErrors)
    app.add_middleware(ContextPaths, public_path=settings.public_path)
    closed = settings.public_path + "/" if settings.reading_closed else ""
    app.add_middleware(KeptAnswers, changes=app.state.changes, closed_path=closed)
    return app


@asynccontextmanager
async def _ready(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Register the files; the process does not start when they break what was promised."""
    assert isinstance(runtime.settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    contracts = read_contracts(runtime.settings.schemas_folder)
    async with runtime.database.transaction() as session:
        added = await commands.register_contracts(session, contracts)
        if added:
            await commands.tell_change(session)
    log.info("contracts_registered", events=len(contracts), added=added)
    app.state.contracts = contracts
    app.state.tails = tails = Tails(runtime.settings)
    app.state.readers = readers = Readers(runtime.settings)
    changes: Changes = app.state.changes
    hearing = partial(listen, runtime.database, {CHANGES: changes.heard}, deaf=changes.deaf)
    async with beside("changes", hearing):
        try:
            yield
        finally:
            await tails.close()
            await readers.close()
