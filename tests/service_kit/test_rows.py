"""Rows that travel as one text arrive as they were."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from service_kit.rows import given, these
from tests.support.services import Service

KINDS = Table(
    "kinds",
    MetaData(),
    Column("uuid", Uuid),
    Column("text", Text),
    Column("bytes", LargeBinary),
    Column("moment", DateTime(timezone=True)),
    Column("date", Date),
    Column("small", Integer),
    Column("large", BigInteger),
    Column("flag", Boolean),
    Column("json", JSONB),
)
EAST = timezone(timedelta(hours=5, minutes=30))


async def there_and_back(service: Service, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    source = given(KINDS, *rows[0])
    async with service.reading() as session:
        found = await session.execute(select(*(source.c[name] for name in rows[0])), these(rows))
        return [dict(row) for row in found.mappings()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uuid", UUID("01890a5d-ac96-774b-bcce-b302099a8057")),
        ("text", 'Quotes "here", a \\ there, a line\nand ещё слова 🐦'),
        ("text", ""),
        ("text", None),
        ("bytes", bytes(range(256))),
        ("bytes", b""),
        ("bytes", b'{"json": "\\u0041"}'),
        ("moment", datetime(2026, 3, 2, 12, 34, 56, 123457, tzinfo=UTC)),
        ("moment", datetime(2026, 3, 2, 12, tzinfo=EAST)),
        ("date", date(2028, 2, 29)),
        ("small", -(2**31)),
        ("large", 2**63 - 1),
        ("large", -(2**63)),
        ("flag", True),
        ("flag", False),
        ("json", {"name": ["value", 1, None]}),
        ("json", None),
    ],
)
async def test_every_kind_of_value_arrives_as_it_was(sample: Service, name: str, value: object) -> None:
    assert await there_and_back(sample, [{name: value}]) == [{name: value}]


async def test_rows_arrive_in_their_order(sample: Service) -> None:
    rows = [{"uuid": uuid4(), "small": number} for number in range(500)]
    assert await there_and_back(sample, rows) == rows


async def test_ids_that_were_read_from_the_database_can_be_given_again(sample: Service) -> None:
    read = await there_and_back(sample, [{"uuid": uuid4()}])
    assert await there_and_back(sample, read) == read
