"""Analytics on a database of its own, its web process, the rows of its views."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Table, text

from analytics.models import VIEWS
from service_kit.database import ReadSession
from tests.support.services import Service
from tests.support.web import Web, web_process

Views = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def analytics(make_service: Callable[..., Service]) -> Service:
    service = make_service("analytics")
    # The rights on a database itself do not come along when it is cloned; the migration had given this one.
    connection = await asyncpg.connect(service.addresses.superuser)
    try:
        await connection.execute(f"GRANT TEMPORARY ON DATABASE {service.addresses.name} TO analytics_service")
    finally:
        await connection.close()
    return service


@pytest.fixture
def views() -> Callable[[ReadSession], Any]:
    """`await views(session)` is every row of every view, in the order of its key."""

    async def read(session: ReadSession) -> Views:
        found: Views = {}
        for view in VIEWS:
            table = view.__table__
            assert isinstance(table, Table)
            order = ", ".join(column.name for column in table.primary_key)
            rows = await session.execute(
                text(f"select to_jsonb(v) as row from {table.name} v order by {order}")  # noqa: S608
            )
            found[table.name] = list(rows.scalars())
        return found

    return read


@pytest.fixture
async def web(analytics: Service) -> AsyncIterator[Web]:
    async with web_process(analytics) as process:
        yield process
