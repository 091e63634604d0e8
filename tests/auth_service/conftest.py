"""auth_service as browsers and clients meet it: its web application on a database of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.auth_service.exchange import ADMIN, CLIENTS, PUBLIC_URLS, Auth, running
from tests.support.services import Service

MakeAuth = Callable[..., Awaitable[Auth]]


@pytest.fixture
async def make_auth(make_service: Callable[..., Service]) -> AsyncIterator[MakeAuth]:
    """`await make_auth(attempts_per_account=3)` is a running auth_service with one administrator."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> Auth:
            values = {
                "public_urls": PUBLIC_URLS,
                "clients": CLIENTS,
                "first_admin_login": ADMIN.login,
                "first_admin_password": ADMIN.password,
            }
            service = make_service("auth_service", **values | settings)
            return await stack.enter_async_context(running(service))

        yield make


@pytest.fixture
async def auth(make_auth: MakeAuth) -> Auth:
    return await make_auth()
