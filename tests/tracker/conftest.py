from collections.abc import AsyncIterator

import pytest

from tests.support.services import Service
from tests.support.web import Web, web_process
from tracker import app


@pytest.fixture
async def web(tracker: Service) -> AsyncIterator[Web]:
    """The tracker's web process."""
    async with web_process(tracker, app.web(tracker.settings)) as running:
        yield running
