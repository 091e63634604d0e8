"""Whether what was said has arrived: outboxes sent, and each event's effect in the next service's tables."""

import asyncio
import time
from types import TracebackType
from typing import Self

import asyncpg

from local_stack.credentials import Credentials
from local_stack.environment import database_url
from local_stack.home import Home
from local_stack.services import ANALYTICS, AUTH, BILLING, SERVICES, TRACKER, Service
from local_stack.state import State
from local_stack.troubles import Trouble

# Who must have acted on whose facts before a day may end: the way of money.
_WAYS = (
    (AUTH, ("AccountCreated", "AccountRoleChanged"), TRACKER),
    (AUTH, ("AccountCreated",), BILLING),
    (TRACKER, ("TaskAssigned", "TaskCompleted"), BILLING),
    (BILLING, ("EntryPosted", "PayoutMade", "DayResult"), ANALYTICS),
)

# Rows are not committed in the order of their ids: the last ones are looked at again.
_OVERLAP = 500

_POLL_S = 0.02
_WITHIN_S = 120

_NEW_FACTS = """
select max(id) as last, array_agg(distinct event_id) filter (where name = any($2)) as ids
from outbox where id > $1
"""
_HANDLED = "select count(*) from inbox where event_id = any($1)"


class Delivery:
    """Looks as the readers' roles. Remembers how far it has looked, so that each look costs little."""

    def __init__(self, home: Home, state: State) -> None:
        credentials = Credentials(home.secrets_file)
        self._urls = {
            service.name: database_url(service, "reader", state.layout, credentials) for service in SERVICES
        }
        self._connections: dict[str, asyncpg.Connection] = {}
        self._seen = [0] * len(_WAYS)
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        for name, url in self._urls.items():
            self._connections[name] = await asyncpg.connect(url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections.values():
            await connection.close()

    async def complete(self, within_s: float = _WITHIN_S) -> None:
        """Return when every fact said so far has had its effect, way by way."""
        await self._have_acted({consumer.name for _, _, consumer in _WAYS}, within_s)

    async def posted(self, within_s: float = _WITHIN_S) -> None:
        """Return when billing has acted on every fact said so far; analytics may still be behind."""
        await self._have_acted({BILLING.name}, within_s)

    async def _have_acted(self, consumers: set[str], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        async with self._lock:
            for number, (producer, names, consumer) in enumerate(_WAYS):
                if consumer.name in consumers:
                    await self._one_way(number, producer, names, consumer, deadline)

    async def _one_way(
        self, number: int, producer: Service, names: tuple[str, ...], consumer: Service, deadline: float
    ) -> None:
        said = await self._connections[producer.name].fetchrow(_NEW_FACTS, self._seen[number], list(names))
        ids = said["ids"] or []
        while await self._connections[consumer.name].fetchval(_HANDLED, ids) < len(ids):
            if time.monotonic() > deadline:
                raise Trouble(
                    f"{consumer.package} has not acted on everything {producer.package} said. "
                    f"See ./ates status and ./ates logs {consumer.name}."
                )
            await asyncio.sleep(_POLL_S)
        self._seen[number] = max(self._seen[number], (said["last"] or 0) - _OVERLAP)
