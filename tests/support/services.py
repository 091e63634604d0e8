"""One service under test: its settings, its database under its own role, its clock, its facts' schemas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select, text

from service_kit.clock import FixedClock
from service_kit.context import Context
from service_kit.database import Database, ReadSession, Session
from service_kit.events import Event
from service_kit.outbox import outbox
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings
from tests.support.databases import Databases, settings_class
from tests.support.engines import DatabaseAddresses
from tests.support.schemas import files_as_registry

SHARED_SETTINGS: dict[str, Any] = {
    "environment": "local",
    "kafka_servers": "localhost:1",
    "registry_url": "http://registry.test",
    "public_urls": {
        name: f"http://exchange.test/{name}"
        for name in ("auth", "tracker", "billing", "analytics", "registry")
    }
    | {"gateway": "http://exchange.test"},
    "client_secret": "a-secret-of-the-client-used-in-tests",
    "secret_key": "a-key-of-32-or-more-bytes-used-in-tests",
}


@dataclass
class Service:
    """`async with service.transaction() as session:` is what an edge gives a command."""

    package: str
    settings: ServiceSettings
    addresses: DatabaseAddresses
    clock: FixedClock
    database: Database

    @classmethod
    def made(
        cls, package: str, databases: Databases, clock: FixedClock, folder: Path, **settings: object
    ) -> "Service":
        return cls.on(databases.fresh(package), package, clock, folder, **settings)

    @classmethod
    def on(
        cls, addresses: DatabaseAddresses, package: str, clock: FixedClock, folder: Path, **settings: object
    ) -> "Service":
        """The service on a database that is there already."""
        made = settings_on(addresses, package, folder, **settings)
        schemas = SchemaClient(made.registry_url, transport=files_as_registry())
        context = Context(made, clock, schemas)
        database = Database(addresses.service, pool_size=10, context=context, name=f"{made.name}-test")
        return cls(package, made, addresses, clock, database)

    @property
    def says(self) -> list[type[Event]]:
        """Facts the service says, from its `events.py`."""
        return list(getattr(import_module(f"{self.package}.events"), "SAYS", ()))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        context = self.database.context
        assert isinstance(context, Context)
        await context.schemas.load(self.says)
        async with self.database.transaction() as session:
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadSession]:
        async with self.database.reading() as session:
            yield session

    async def said(self) -> list[dict[str, Any]]:
        """What the outbox holds, in order: `{"name", "version", "key", "event_id", "data", ...}`."""
        async with self.reading() as session:
            rows = (await session.execute(select(outbox).order_by(outbox.c.id))).mappings()
            return [
                {**row, "data": orjson.loads(row["data"]) if row["name"] else row["data"]} for row in rows
            ]

    async def scalar(self, sql: str, **parameters: object) -> Any:
        async with self.reading() as session:
            return await session.scalar(text(sql), parameters)

    async def somebody_waits(self) -> bool:
        """Whether a statement waits for what another one holds."""
        waits = (
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        return bool(await self.scalar(waits))

    async def close(self) -> None:
        await self.database.close()


def settings_on(
    addresses: DatabaseAddresses, package: str, folder: Path, **settings: object
) -> ServiceSettings:
    kind = settings_class(package)
    own = own_settings(package, folder)
    return kind(**{**SHARED_SETTINGS, "database_url": addresses.service, **own, **settings})


def own_settings(package: str, folder: Path) -> dict[str, Any]:
    if package == "billing":
        return {"price_key": "a-key-for-prices-used-in-tests-only", "letters_folder": folder / "letters"}
    if package == "auth_service":
        return {"letters_folder": folder / "letters"}
    return {}
