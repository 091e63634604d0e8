"""The JSON API of a running exchange, called as its people: what demo and night do, a script could do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2

from local_stack.home import Home
from local_stack.state import State
from local_stack.tokens import Tokens
from local_stack.troubles import Trouble

_TRIES = 6
_COME_AGAIN = {httpx2.codes.TOO_MANY_REQUESTS, httpx2.codes.SERVICE_UNAVAILABLE}


class Client:
    """Calls with somebody's token, and if wanted as of another business time."""

    def __init__(self, http: httpx2.AsyncClient, tokens: Tokens) -> None:
        self._http = http
        self._tokens = tokens

    async def get(self, login: str, path: str, **query: str | int) -> Any:
        return await self.call("GET", login, path, query=query)

    async def post(
        self, login: str, path: str, content: dict[str, Any] | None = None, *, at: datetime | None = None
    ) -> Any:
        return await self.call("POST", login, path, content=content, at=at)

    async def call(
        self,
        method: str,
        login: str,
        path: str,
        *,
        content: dict[str, Any] | None = None,
        query: dict[str, str | int] | None = None,
        at: datetime | None = None,
    ) -> Any:
        """The answer's JSON, or None for 404. Waits a little where the exchange is short of breath."""
        headers = {"Authorization": f"Bearer {await self._tokens.of(login)}"}
        if at is not None:
            headers["X-Business-Time"] = at.astimezone(UTC).isoformat()
        attempt = 0
        while True:
            answer = await self._http.request(method, path, json=content, params=query, headers=headers)
            attempt += 1
            if answer.status_code not in _COME_AGAIN or attempt == _TRIES:
                break
            await asyncio.sleep(0.2 * 2**attempt)
        if answer.status_code == httpx2.codes.NOT_FOUND and method == "GET":
            return None
        if answer.is_error:
            raise Trouble(f"{method} {path} as {login} was refused: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    async def all_pages(self, login: str, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        query: dict[str, str | int] = {"limit": 200}
        while True:
            page = await self.get(login, path, **query)
            items += page["items"]
            if page["next"] is None:
                return items
            query["cursor"] = page["next"]


@asynccontextmanager
async def connect(home: Home, state: State, *, at_once: int = 16) -> AsyncIterator[Client]:
    limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx2.AsyncClient(
        base_url=state.layout.gateway_url, limits=limits, timeout=30, trust_env=False
    ) as http:
        yield Client(http, Tokens(home, state))
