"""Hearing what other processes tell over the service's own database (NOTIFY)."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from sqlalchemy import text

from service_kit.database import LINE_TROUBLE, Database, Session, own_connection

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 1


async def tell(session: Session, channel: str) -> None:
    """Tell whoever listens, at the commit of this transaction: for changes that are rare."""
    await session.execute(text("select pg_notify(:channel, '')"), {"channel": channel})


async def listen(
    database: Database, heard: Mapping[str, Callable[[], None]], *, deaf: Callable[[], None] = lambda: None
) -> None:
    """Call what stands for a channel whenever somebody tells there, and `deaf` when the connection is lost.

    Each is called once more when the connection stands (again), for what was told meanwhile. Ends when
    cancelled.
    """

    def ring(_connection: Any, _pid: int, channel: str, _payload: str) -> None:
        heard[channel]()

    while True:
        try:
            async with own_connection(database.url) as connection:
                ended = asyncio.Event()
                connection.add_termination_listener(lambda _connection, ended=ended: ended.set())
                try:
                    for channel, hear in heard.items():
                        await connection.add_listener(channel, ring)
                        hear()
                    await ended.wait()
                finally:
                    deaf()
        except LINE_TROUBLE as error:
            log.warning("listening_interrupted", channels=sorted(heard), error=type(error).__name__)
        await asyncio.sleep(AGAIN_AFTER_S)
