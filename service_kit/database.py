"""The service's own PostgreSQL: engine, the two kinds of session, column types, wake-up after the commit."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, NewType
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import BigInteger, DateTime, MetaData, Uuid, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import mapped_column

log = structlog.get_logger(__name__)

ReadSession = NewType("ReadSession", AsyncSession)
"""A session whose transaction may only read."""

Session = NewType("Session", ReadSession)
"""A session that may write. Whoever takes one never commits: the edge that opened it does."""

Id = Annotated[UUID, mapped_column(Uuid, primary_key=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Cents = Annotated[int, mapped_column(BigInteger)]
"""Money in integer cents."""

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

kit_metadata = MetaData(naming_convention=NAMING)
"""Tables of the kit itself; every service's database has them."""

PASSING_STATES = ("08", "28", "40", "53", "55P", "57", "58")
"""Classes of SQLSTATE that trying again may cure: connection, sign-in (a password or role that is being
changed), serialization, resources, locks, shutdown."""

SILENCE_S, ASKED_EVERY_S, ASKED_TIMES = 10, 5, 3
"""A line that is silent for so long is asked, and given up when that many questions are not answered."""

NOTICED_BY_THE_SERVER = {
    "tcp_keepalives_idle": str(SILENCE_S),
    "tcp_keepalives_interval": str(ASKED_EVERY_S),
    "tcp_keepalives_count": str(ASKED_TIMES),
    "tcp_user_timeout": str((SILENCE_S + ASKED_EVERY_S * ASKED_TIMES) * 1000),
}

NOTIFY = "select pg_notify(channel, '') from unnest($1::text[]) channel"
WAKE_UPS = "wake_ups"
CONTEXT = "context"


def will_pass(error: BaseException) -> bool:
    """Whether this is trouble of the database or the network that trying again later may cure."""
    if isinstance(error, (InterfaceError, OperationalError, PoolTimeout, OSError, TimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    # A connection cut in the middle of a call leaves the driver in a state that it calls its own error.
    cause = error.orig.__cause__ if error.orig is not None else None
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated
        or isinstance(cause, asyncpg.InternalClientError)
        or state.startswith(PASSING_STATES)
    )


def async_url(url: str) -> str:
    """The same address with the driver we use: `postgresql://` becomes `postgresql+asyncpg://`."""
    scheme, _, rest = url.partition("://")
    return f"postgresql+asyncpg://{rest}" if scheme in {"postgres", "postgresql"} else url


def lock_key(name: str) -> int:
    """A stable 63-bit number for an advisory lock of this name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def notify_after_commit(session: Session, channel: str) -> None:
    """Wake whoever listens on `channel`, after the commit and outside of the transaction.

    NOTIFY inside the transaction would take one global lock through every commit and more than halve the
    rate of writes; a lost wake-up only costs the listener's next slow poll.
    """
    session.info.setdefault(WAKE_UPS, set()).add(channel)


class Database:
    """Engine and sessions of one process. `context` travels in `session.info` (see `service_kit.context`).

    At most `pool_size` connections change something at a time, and as many read alone.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        context: object = None,
        name: str = "ates",
    ) -> None:
        self.url = async_url(url)
        server_settings = {"application_name": name, "timezone": "UTC"}
        self.engine = _engine(self.url, pool_size, server_settings)
        self._reading_engine = self.engine.execution_options(postgresql_readonly=True)
        self._single_writes_engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # Connections of their own, as only a setting of the connection keeps a lone statement from writing.
        self._single_reads_engine = _engine(
            self.url,
            pool_size,
            server_settings | {"default_transaction_read_only": "on"},
            isolation_level="AUTOCOMMIT",
        )
        self.context = context
        self._bell = _Bell(self.url, f"{name}-bell")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Open a writing session; commit at the end, roll back on any error, then wake the listeners."""
        async with AsyncSession(self.engine, expire_on_commit=False, autoflush=True) as raw:
            session = Session(ReadSession(raw))
            session.info[CONTEXT] = self.context
            async with raw.begin():
                yield session
            self._bell.ring(session.info.get(WAKE_UPS, ()))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadSession]:
        """Open a transaction that the server keeps from writing; nothing is sent before the first read."""
        async with AsyncSession(self._reading_engine, expire_on_commit=False, autoflush=False) as raw:
            raw.info[CONTEXT] = self.context
            yield ReadSession(raw)

    @asynccontextmanager
    async def single_reads(self) -> AsyncIterator[ReadSession]:
        """The same without a transaction around: each read sees what is committed when it begins.

        A read is then one round trip instead of three. What needs a transaction (a cursor of the server, a
        row lock) takes `reading` or `transaction`.
        """
        async with AsyncSession(self._single_reads_engine, expire_on_commit=False, autoflush=False) as raw:
            raw.info[CONTEXT] = self.context
            yield ReadSession(raw)

    @asynccontextmanager
    async def single_writes(self) -> AsyncIterator[Session]:
        """A writing session without a transaction around: each statement is committed when it returns.

        For work of which each statement is whole in itself and says by its own conditions whether it may
        be done. One round trip then, instead of three.
        """
        async with AsyncSession(self._single_writes_engine, expire_on_commit=False, autoflush=False) as raw:
            raw.info[CONTEXT] = self.context
            try:
                yield Session(ReadSession(raw))
            finally:
                # What was done before an error is done all the same.
                self._bell.ring(raw.info.get(WAKE_UPS, ()))

    @asynccontextmanager
    async def one_connection(self) -> AsyncIterator["OneConnection"]:
        """Sessions over one connection, which is closed afterwards with all it holds for itself."""
        async with self.engine.connect() as connection:
            try:
                yield OneConnection(connection, self.context)
            finally:
                # Temporary tables must not lie in wait for whoever is given the connection next.
                await connection.invalidate()

    async def close(self) -> None:
        await self._bell.stop()
        await self.engine.dispose()
        await self._single_reads_engine.dispose()


def _engine(url: str, pool_size: int, server_settings: dict[str, str], **options: Any) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        # What is made at a peak stays: a new connection, with every statement to be prepared on it again,
        # costs most when there is least time for it. The one used last is taken first, as it knows them.
        max_overflow=0,
        pool_use_lifo=True,
        # Parameters may be secrets or personal; an error message is no place for them.
        hide_parameters=True,
        pool_timeout=10,
        connect_args={"server_settings": server_settings | NOTICED_BY_THE_SERVER, "timeout": 10},
        **options,
    )
    event.listen(engine.sync_engine, "connect", lambda made, _: _notice_silence(made.driver_connection))
    event.listen(engine.sync_engine, "checkout", _pass_over_closed)
    return engine


LINE_TROUBLE = (
    OSError,  # and so TimeoutError
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What the driver calls a connection that is cut in the middle of a call.
    asyncpg.InternalClientError,
)
"""What a connection outside of the pools meets when the server or the line to it fails."""


@asynccontextmanager
async def own_connection(url: str, **server_settings: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside of the pools, for what listens or holds a lease as long as it lives.

    Raises one of `LINE_TROUBLE` when there is none to be had, and so does every call on it that fails.
    """
    connection = await asyncpg.connect(
        url.replace("postgresql+asyncpg://", "postgresql://", 1),
        timeout=10,
        command_timeout=30,
        server_settings=server_settings | NOTICED_BY_THE_SERVER,
    )
    try:
        _notice_silence(connection)
        yield connection
    finally:
        connection.terminate()


def _notice_silence(connection: asyncpg.Connection) -> None:
    """Let both ends of a line notice within half a minute that the other one is gone without a word.

    By themselves they would wait for hours: the server with the locks of a process whose machine is lost, the
    process for an answer. An end that is only slow answers the questions, as its system does that.
    """
    # The driver has no option for it and no other way to its socket.
    line = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if line.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", SILENCE_S),
        ("TCP_KEEPINTVL", ASKED_EVERY_S),
        ("TCP_KEEPCNT", ASKED_TIMES),
        ("TCP_USER_TIMEOUT", (SILENCE_S + ASKED_EVERY_S * ASKED_TIMES) * 1000),
    ):
        # Not every system knows all of them.
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _pass_over_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool take another connection for one that the server has closed.

    The driver has heard of it from the socket; asking the server each time would cost three round trips.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server has closed this connection")


class OneConnection:
    """Sessions that share a connection and so its temporary tables. Nobody is woken after a commit."""

    def __init__(self, connection: AsyncConnection, context: object) -> None:
        self._connection = connection
        self._context = context

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with AsyncSession(self._connection, expire_on_commit=False) as raw:
            session = Session(ReadSession(raw))
            session.info[CONTEXT] = self._context
            async with raw.begin():
                yield session


class _Bell:
    """Coalesces wake-ups: while one NOTIFY is under way, all that ring meanwhile share the next one.

    It has a connection of its own, as asking a pool for one costs several times what ringing does.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._line: asyncpg.Connection | None = None
        self._until_closed = AsyncExitStack()
        self._pending: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def ring(self, channels: Iterable[str]) -> None:
        self._pending.update(channels)
        if self._pending and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        while self._pending:
            channels, self._pending = sorted(self._pending), set()
            try:
                line = await self._open_line()
                await line.execute(NOTIFY, channels)
            except LINE_TROUBLE as error:
                # The slow poll of whoever listens is the net under it.
                log.warning("wake_up_lost", channels=channels, error=type(error).__name__)

    async def _open_line(self) -> asyncpg.Connection:
        if self._line is None or self._line.is_closed():
            await self._until_closed.aclose()
            self._line = await self._until_closed.enter_async_context(
                own_connection(self._url, application_name=self._name)
            )
        return self._line

    async def stop(self) -> None:
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._until_closed.aclose()
