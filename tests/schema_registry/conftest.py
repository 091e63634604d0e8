import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from local_stack.home import installed_folder
from schema_registry import app
from schema_registry.api.rights import Credentials
from service_kit.clock import FixedClock
from service_kit.identity import Role
from service_kit.identity.tokens import PublishedKeys, Verifier
from service_kit.settings import ServiceSettings
from tests.support.databases import Databases
from tests.support.engines import DatabaseAddresses
from tests.support.services import Service, settings_on
from tests.support.web import serving

V1 = "application/vnd.schemaregistry.v1+json"


KEEP_CONTRACTS = """
create schema kept;
create table kept.schemas as table schemas;
create table kept.subject_versions as table subject_versions;
create table kept.settings as table settings;
"""
BRING_CONTRACTS = """
set session_replication_role = replica;
insert into schemas overriding system value table kept.schemas;
insert into subject_versions table kept.subject_versions;
insert into settings table kept.settings;
select setval(pg_get_serial_sequence('schemas', 'id'), max(id)) from kept.schemas;
"""


@dataclass
class Asked:
    """`await asked.get("/subjects")`: at the registry's own port, as an administrator."""

    client: httpx2.AsyncClient

    async def get(self, path: str, **options: Any) -> Any:
        return await self._answer("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return await self._answer("POST", path, json=body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> Any:
        return await self._answer("PUT", path, json=body, **options)

    async def delete(self, path: str, **options: Any) -> Any:
        return await self._answer("DELETE", path, **options)

    async def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, int]:
        """HTTP status and error code of a refusal, which has these two fields and no others."""
        answer = await self.client.request(method, path, json=body, **options)
        assert answer.is_error, answer.text
        found = answer.json()
        assert set(found) == {"error_code", "message"}
        assert found["message"]
        return answer.status_code, found["error_code"]

    async def _answer(self, method: str, path: str, **options: Any) -> Any:
        answer = await self.client.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()


def sent(schema: Any, **more: Any) -> dict[str, Any]:
    return {"schema": json.dumps(schema), "schemaType": "JSON", **more}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@dataclass
class Web:
    """The registry's web process, and an issuer whose tokens it takes."""

    app: FastAPI
    settings: ServiceSettings
    key: ECKey

    def token(self, role: Role) -> str:
        now = int(time.time())
        claims = {
            "iss": self.settings.issuer,
            "aud": self.settings.public_url,
            "sub": str(UUID(int=1)),
            "role": role.value,
            "client_id": self.settings.name,
            "iat": now,
            "exp": now + 300,
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "key"}, claims, self.key)

    def own_port(self, role: Role | None = None) -> httpx2.AsyncClient:
        """A program that asks at the process's own port."""
        headers = {"Authorization": f"Bearer {self.token(role)}"} if role else {}
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://registry.test:8081", headers=headers)

    def browser(self, **headers: str) -> httpx2.AsyncClient:
        """A browser in front of the gateway."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app),
            base_url=self.settings.public_url,
            headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin", **headers},
        )


@pytest.fixture(scope="session")
def place(databases: Databases) -> DatabaseAddresses:
    """One database for all tests of the registry, emptied before each."""
    return databases.fresh("schema_registry")


@pytest.fixture(scope="session")
def application(place: DatabaseAddresses, run_folder: Path) -> FastAPI:
    """One application for all tests: to compose it anew takes longer than most of them."""
    return app.web(settings_on(place, "schema_registry", run_folder))


async def at_the_database(place: DatabaseAddresses, statements: str) -> None:
    """Run statements with rights that no process of the registry has."""
    connection = await asyncpg.connect(place.superuser)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def contracts_brought(place: DatabaseAddresses) -> bool:
    """Put the contracts where the first start of these tests put them; to do so anew takes longer than most.

    Answers whether there was such a start.
    """
    try:
        await at_the_database(place, BRING_CONTRACTS)
    except asyncpg.UndefinedTableError:
        return False
    return True


@pytest.fixture
async def registry(place: DatabaseAddresses, clock: FixedClock, tmp_path: Path) -> AsyncIterator[Service]:
    # Schemas may not be deleted; triggers that see to it rest for the moment.
    await at_the_database(
        place,
        "set session_replication_role = replica;"
        "truncate schemas, subject_versions, settings, changes restart identity",
    )
    service = Service.on(place, "schema_registry", clock, tmp_path)
    yield service
    await service.close()


@pytest.fixture
async def web(registry: Service, application: FastAPI, place: DatabaseAddresses) -> AsyncIterator[Web]:
    """The registry's web process, as after a start on an empty database."""
    kept = await contracts_brought(place)
    application.state.changes.deaf()
    application.state.credentials = Credentials()
    running = Web(application, registry.settings, ECKey.generate_key("P-256", {"kid": "key"}))

    async def keys() -> dict[str, Any]:
        return dict(KeySet([running.key]).as_dict(private=False))

    async with running.app.router.lifespan_context(running.app):
        if not kept:
            await at_the_database(place, KEEP_CONTRACTS)
        running.app.state.runtime.verifier = Verifier(
            PublishedKeys(keys),
            issuer=registry.settings.issuer,
            audience=registry.settings.public_url,
            client_id=registry.settings.name,
        )
        yield running


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where `./ates test` has put other people's tools for Node.js."""
    folder = installed_folder() / "node"
    if not (folder / "installed.json").exists():
        pytest.skip("./ates test installs what this needs where there is npm")
    return folder / "node_modules"


@pytest.fixture
async def asked(web: Web) -> AsyncIterator[Asked]:
    """The registry at its own port, with an administrator's token."""
    async with web.own_port(Role.ADMIN) as client:
        yield Asked(client)


@pytest.fixture
async def anybody(web: Web) -> AsyncIterator[Asked]:
    """The same without any token."""
    async with web.own_port() as client:
        yield Asked(client)


@pytest.fixture
async def address(web: Web) -> AsyncIterator[str]:
    """The same process behind a real port, for clients that bring their own HTTP."""
    async with serving(web.app) as port:
        yield f"http://127.0.0.1:{port}"
