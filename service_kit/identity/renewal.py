"""Keeps a browser's session fresh without anybody noticing: the five-minute tokens are renewed on the server.

While the last token still holds, renewal runs beside the request; only a browser that comes back later waits
for it. One renewal per session runs at a time: inside a process requests share it, between processes the lock
of the row orders them, because the provider takes a refresh token that is used twice for a theft.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from service_kit.database import Database
from service_kit.errors import ServiceError, Unauthenticated, Unavailable
from service_kit.identity.provider import GrantRefused, Provider, ProviderUnavailable
from service_kit.identity.recent import Recent
from service_kit.identity.sessions import Sessions, WebSession
from service_kit.identity.tokens import Verifier

log = structlog.get_logger(__name__)

RENEW_BEFORE_END = timedelta(seconds=60)
PAUSE_AFTER_FAILURE_S = 5
KNOWN_FOR_S, KNOWN_WHILE_HEARD_S = 1.0, 30.0
"""So long a session that was read is believed without asking again: for a moment, or longer while we are told
when any ends. A person who is blocked is refused at once in any case (see `denials`)."""


class Renewal:
    """Answers the present state of a session, renewed when it has to be."""

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        provider: Provider,
        verifier: Callable[[], Verifier],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._provider = provider
        self._verifier = verifier
        self._known: Recent[bytes, WebSession] = Recent(KNOWN_FOR_S)
        self._told = 0
        self._flights: dict[bytes, asyncio.Task[WebSession | None]] = {}
        self._not_before = -float("inf")

    async def current(self, id_hash: bytes) -> WebSession | None:
        """Answer the session, or None when it has ended.

        Raises `ProviderUnavailable` when its last token is over and the provider is away.
        """
        found = await self._find(id_hash)
        now = datetime.now(UTC)
        if found is None or found.fresh_until - now > RENEW_BEFORE_END:
            return found
        if found.fresh_until > now:
            if time.monotonic() >= self._not_before:
                self._start(id_hash)
            return found
        # A cancelled request must not tear down the renewal that others wait for.
        return await asyncio.shield(self._start(id_hash))

    def forget(self, id_hash: bytes | None = None) -> None:
        """Read this session anew when it comes next, or all of them."""
        if id_hash is None:
            self._known.clear()
        else:
            self._known.forget(id_hash)

    def heard(self) -> None:
        """Sessions have ended somewhere, or may have until now: which ones is for the database to say."""
        self._told += 1
        self._known.clear()
        self._known.kept_s = KNOWN_WHILE_HEARD_S

    def deaf(self) -> None:
        """Nobody tells us for the time being."""
        self._known.kept_s = KNOWN_FOR_S

    async def close(self) -> None:
        await asyncio.gather(*self._flights.values(), return_exceptions=True)

    async def _find(self, id_hash: bytes) -> WebSession | None:
        found = self._known.get(id_hash)
        if found is None:
            told = self._told
            async with self._database.single_reads() as session:
                found = await self._sessions.find(session, id_hash)
            # What was told meanwhile may be the end of this very session.
            if found is not None and told == self._told:
                self._known.put(id_hash, found)
        return found

    def _start(self, id_hash: bytes) -> "asyncio.Task[WebSession | None]":
        flight = self._flights.get(id_hash)
        if flight is None:
            flight = asyncio.get_running_loop().create_task(self._renew(id_hash))
            self._flights[id_hash] = flight
            flight.add_done_callback(lambda done: self._landed(id_hash, done))
        return flight

    def _landed(self, id_hash: bytes, flight: "asyncio.Task[WebSession | None]") -> None:
        del self._flights[id_hash]
        self.forget(id_hash)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._not_before = time.monotonic() + PAUSE_AFTER_FAILURE_S
            log.warning("session_not_renewed", error=type(error).__name__)

    async def _renew(self, id_hash: bytes) -> WebSession | None:
        async with self._database.transaction() as session:
            found = await self._sessions.find(session, id_hash, lock=True)
            if found is None or found.fresh_until - datetime.now(UTC) > RENEW_BEFORE_END:
                # Another process was faster, or the session was ended meanwhile.
                return found
            try:
                renewed = await self._exchanged(found)
            except (GrantRefused, Unauthenticated):
                await self._sessions.end(session, id_hash)
                log.info("session_ended", reason="the provider renews it no longer")
                return None
            except Unavailable as error:
                raise ProviderUnavailable from error
            await self._sessions.renew(session, renewed)
            return renewed

    async def _exchanged(self, found: WebSession) -> WebSession:
        if found.refresh_token is None:
            raise GrantRefused
        tokens = await self._provider.refresh(found.refresh_token)
        verifier = self._verifier()
        access = await verifier.access_token(tokens.access_token)
        if access.guid != found.account_guid:
            raise Unauthenticated
        renewed = replace(
            found,
            role=access.role,
            refresh_token=tokens.refresh_token or found.refresh_token,
            fresh_until=datetime.fromtimestamp(access.expires_at, UTC),
        )
        if tokens.id_token is None:
            return renewed
        try:
            claims = await verifier.id_token(tokens.id_token, nonce=None)
        except ServiceError:
            return renewed
        return replace(
            renewed,
            id_token=tokens.id_token,
            name=claims.get("name", found.name),
            locale=claims.get("locale", found.locale),
        )
