from collections.abc import AsyncIterator

import pytest

from tests.support.services import Service
from tests.support.web import Web, web_process


@pytest.fixture
async def web(tracker: Service) -> AsyncIterator[Web]:
    """The tracker's web process."""
    async with web_process(tracker) as running:
        yield running
