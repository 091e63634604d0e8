"""A migrated database per test: cloned from a template that each service migrates once per session."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import asyncpg

from local_stack.engines.postgres import Postgres
from service_kit import migrating
from service_kit.settings import ServiceSettings
from tests.support.engines import DatabaseAddresses, create_database


class Databases:
    """Databases of one PostgreSQL server."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._templates: dict[str, DatabaseAddresses] = {}
        self._numbers = itertools.count(1)

    def fresh(self, package: str) -> DatabaseAddresses:
        """A database of its own with the schema of `package` and nothing in it."""
        template = self._template(package)
        name = f"{template.name}_{next(self._numbers)}"
        self._as_superuser(
            f"CREATE DATABASE {name} TEMPLATE {template.name} STRATEGY file_copy",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {name} TO {template.name}_owner, {template.name}_service,"
            f" {template.name}_reader",
        )

        def moved(url: str) -> str:
            return url.rsplit("/", 1)[0] + f"/{name}"

        return replace(
            template,
            name=name,
            owner=moved(template.owner),
            service=moved(template.service),
            reader=moved(template.reader),
            superuser=moved(template.superuser),
        )

    def drop(self, database: DatabaseAddresses) -> None:
        self._as_superuser(f"DROP DATABASE {database.name} WITH (FORCE)")

    def _template(self, package: str) -> DatabaseAddresses:
        if package not in self._templates:
            name = settings_class(package).name
            made = create_database_anywhere(self._server, name)
            in_a_thread(lambda: migrating.upgrade(package, name, made.owner))
            self._templates[package] = made
        return self._templates[package]

    def _as_superuser(self, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self._server.dsn())
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        in_a_thread(lambda: asyncio.run(run()))


def settings_class(package: str) -> type[ServiceSettings]:
    """The one subclass of `ServiceSettings` that the package's `settings.py` declares."""
    module = import_module(f"{package}.settings")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ServiceSettings) and value is not ServiceSettings
    ]
    assert len(found) == 1, f"{package}.settings declares {len(found)} settings classes"
    return found[0]


def create_database_anywhere(server: Postgres, name: str) -> DatabaseAddresses:
    made: list[DatabaseAddresses] = []
    in_a_thread(lambda: made.append(create_database(server, name)))
    return made[0]


def in_a_thread(work: "object") -> None:
    """Run work that makes its own event loop, from wherever a loop may already be running."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(work).result()  # type: ignore[arg-type]
