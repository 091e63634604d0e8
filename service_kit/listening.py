"""Hearing what other processes tell over the service's own database (NOTIFY)."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import text

from service_kit.database import LINE_TROUBLE, Database, Session, own_connection

log = structlog.get_logger()

AGAIN_AFTER_S = 1


async def tell(session: Session, channel: str) -> None:
    """Tell whoever listens, at the commit of this transaction: for changes that are rare."""
    await session.execute(text("select pg_notify(:channel, '')"), {"channel": channel})


async def listen(
    database: Database, channel: str, *, heard: Callable[[], None], deaf: Callable[[], None] = lambda: None
) -> None:
    """Call `heard` whenever somebody tells, and `deaf` when the connection is lost. Ends when cancelled.

    `heard` is called once more when the connection stands (again), for what was told meanwhile.
    """

    def ring(*_arguments: Any) -> None:
        heard()

    while True:
        try:
            async with own_connection(database.url) as connection:
                ended = asyncio.Event()
                connection.add_termination_listener(lambda _connection, ended=ended: ended.set())
                try:
                    await connection.add_listener(channel, ring)
                    heard()
                    await ended.wait()
                finally:
                    deaf()
        except LINE_TROUBLE as error:
            log.warning("listening_interrupted", channel=channel, error=type(error).__name__)
        await asyncio.sleep(AGAIN_AFTER_S)
