"""auth_service as browsers and clients meet it: its web application on a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest

from service_kit.clock import FixedClock
from tests.auth_service.exchange import ADMIN, CLIENTS, PUBLIC_URLS, Auth, running
from tests.support.databases import Databases
from tests.support.services import Service

MakeAuth = Callable[..., Awaitable[Auth]]
SETTINGS = {
    "public_urls": PUBLIC_URLS,
    "clients": CLIENTS,
    "first_admin_login": ADMIN.login,
    "first_admin_password": ADMIN.password,
    "attempts_per_address": 10_000,
}


@pytest.fixture(scope="session")
async def auth(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Auth]:
    """One running auth_service that tests share: each brings people of its own."""
    clock = FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    folder = tmp_path_factory.mktemp("auth")
    service = Service.made("auth_service", databases, clock, folder, **SETTINGS)
    async with running(service) as auth:
        yield auth
    await service.close()


@pytest.fixture
async def make_auth(make_service: Callable[..., Service]) -> AsyncIterator[MakeAuth]:
    """`await make_auth(attempts_per_account=3)` is one that no other test knows."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> Auth:
            service = make_service("auth_service", **SETTINGS | settings)
            return await stack.enter_async_context(running(service))

        yield make


@pytest.fixture
async def patient_auth(auth: Auth) -> Auth:
    """The shared one, as if nobody had asked it for anything for an hour: all tests have one address."""
    await auth.execute("delete from guess_counters")
    return auth


@pytest.fixture
async def own_auth(make_auth: MakeAuth) -> Auth:
    """For a test that changes what others would stumble over."""
    return await make_auth()
