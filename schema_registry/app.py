"""Composition of the web process: the contract files are registered before it answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from schema_registry import api, commands, pages
from schema_registry.api.answers import ConfluentErrors, on_registry_error
from schema_registry.domain.contracts import read_contracts
from schema_registry.domain.errors import RegistryError
from schema_registry.settings import RegistrySettings
from service_kit.settings import ServiceSettings
from service_kit.web import Runtime, create_app

log = structlog.get_logger()


def web(settings: ServiceSettings) -> FastAPI:
    """Make the ASGI application."""
    app = create_app(
        settings,
        title="aTES schema registry",
        package="schema_registry",
        routers=[pages.router, *api.routers],
        setup=_contracts_registered,
    )
    app.add_exception_handler(RegistryError, on_registry_error)
    app.add_middleware(ConfluentErrors)
    return app


@asynccontextmanager
async def _contracts_registered(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Register the files; the process does not start when they break what was promised."""
    assert isinstance(runtime.settings, RegistrySettings)  # noqa: S101  narrows the type for mypy
    contracts = read_contracts(runtime.settings.schemas_folder)
    async with runtime.database.transaction() as session:
        added = await commands.register_contracts(session, contracts)
    log.info("contracts_registered", events=len(contracts), added=added)
    app.state.contracts = contracts
    yield
