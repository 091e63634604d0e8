"""What is compared: one still moment of each service's database, read in order and row by row."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import asyncpg

_PREFETCH = 2000


@dataclass(frozen=True)
class Difference:
    """One thing that two services, or two tables of one, say differently."""

    between: str
    what: str
    """Stable code, to group by."""
    sentence: str
    task_id: str | None = None
    account_id: str | None = None
    business_date: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


class Snapshot:
    """A reader's view of one database as it was at one moment."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str) -> AsyncIterator[asyncpg.Record]:
        """Through a cursor of the server: a ledger may be larger than our memory."""
        async for row in self._connection.cursor(sql, prefetch=_PREFETCH):
            yield row

    async def value(self, sql: str) -> Any:
        return await self._connection.fetchval(sql)


@asynccontextmanager
async def snapshots(readers: dict[str, str]) -> AsyncIterator[dict[str, Snapshot]]:
    """By service name. Those who hear are stopped before those who say, so that news is only ever missing."""
    async with AsyncExitStack() as stack:
        taken: dict[str, Snapshot] = {}
        for name, dsn in reversed(readers.items()):
            connection = await asyncpg.connect(dsn)
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(
                connection.transaction(isolation="repeatable_read", readonly=True)
            )
            await connection.fetchval("select 1")
            taken[name] = Snapshot(connection)
        yield taken


Key = tuple[Any, ...]


@dataclass(frozen=True)
class Pair:
    """All rows of both sides that have one key."""

    key: Key
    left: list[asyncpg.Record]
    right: list[asyncpg.Record]


async def side_by_side(
    left: AsyncIterator[asyncpg.Record],
    right: AsyncIterator[asyncpg.Record],
    key_of: Callable[[asyncpg.Record], Key],
) -> AsyncIterator[Pair]:
    """Walk two results that are sorted by the same key; memory holds the rows of one key."""
    lefts, rights = _groups(left, key_of), _groups(right, key_of)
    one, other = await anext(lefts, None), await anext(rights, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None  # noqa: S101  one of the two is left
            yield Pair(one[0], one[1], [])
            one = await anext(lefts, None)
        elif one is None or other[0] < one[0]:
            yield Pair(other[0], [], other[1])
            other = await anext(rights, None)
        else:
            yield Pair(one[0], one[1], other[1])
            one, other = await anext(lefts, None), await anext(rights, None)


async def _groups(
    rows: AsyncIterator[asyncpg.Record], key_of: Callable[[asyncpg.Record], Key]
) -> AsyncIterator[tuple[Key, list[asyncpg.Record]]]:
    key: Key | None = None
    group: list[asyncpg.Record] = []
    async for row in rows:
        found = key_of(row)
        if group and found != key:
            assert key is not None  # noqa: S101  a group has a key
            yield key, group
            group = []
        key = found
        group.append(row)
    if group and key is not None:
        yield key, group


def by(*names: str) -> Callable[[asyncpg.Record], Key]:
    return lambda row: tuple(row[name] for name in names)


def unequal(left: asyncpg.Record, right: asyncpg.Record, *names: str) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of what differs."""
    for name in names:
        if left[name] != right[name]:
            yield name, left[name], right[name]


def text_of(value: UUID | object | None) -> str | None:
    return None if value is None else str(value)
