"""A web process of billing on the test's own ledger."""

from collections.abc import AsyncIterator

import pytest

from billing.settings import BillingSettings
from tests.support.services import Service
from tests.support.web import Web, web_process


@pytest.fixture
async def web(billing: Service) -> AsyncIterator[Web]:
    assert isinstance(billing.settings, BillingSettings)
    async with web_process(billing) as process:
        yield process
