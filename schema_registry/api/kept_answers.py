"""Answers given again without asking the database, until something in the registry changes.

Schemas never change and clients ask the same few questions over and over, each process of theirs at its
start, so nearly all questions are answered from memory. Whoever changes something tells all processes in the
transaction of the change (`Changes`); a process that cannot hear that keeps nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schema_registry.api.answers import CHANGED, KEEP

KEPT_BYTES_MAX = 64 * 1024 * 1024
ENTRY_BYTES_MAX = 256 * 1024
BODY_BYTES_MAX = 256 * 1024

ANSWERS = Counter("ates_registry_kept_answers_total", "Answers that were given from memory", ["method"])

_VARYING = frozenset({b"accept", b"content-type"})
_UNKEPT = frozenset({b"idempotency-key", b"cookie", b"origin", b"sec-fetch-site", b"x-business-time"})
"""A request with one of these goes the whole way: it may come from a page."""

_PERSONAL_HEADERS = frozenset({b"x-request-id"})


class Changes:
    """Counts what changed, as far as this process has heard."""

    def __init__(self) -> None:
        self.count = 0
        self.hearing = False

    def heard(self) -> None:
        self.count += 1
        self.hearing = True

    def deaf(self) -> None:
        self.count += 1
        self.hearing = False


@dataclass(frozen=True, slots=True)
class _Kept:
    start: Message
    body: Message
    size: int


class KeptAnswers:
    """Outermost layer of the application."""

    def __init__(self, app: ASGIApp, changes: Changes, *, closed_path: str) -> None:
        self._app = app
        self._changes = changes
        self._closed = closed_path
        """Path behind which reading needs a sign-in; empty when all is open."""
        self._kept: OrderedDict[Any, _Kept] = OrderedDict()
        self._size = 0
        self._as_of = -1
        self._counts = {method: ANSWERS.labels(method) for method in ("GET", "POST")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = self._key(scope)
        if key is None:
            await self._app(scope, receive, self._counting(scope, send))
            return
        count = self._changes.count
        if count != self._as_of:
            self._kept.clear()
            self._size = 0
            self._as_of = count
        method = key[0]
        if method == "POST":
            body = await _whole_body(receive)
            key = (*key, body)
            receive = _again(body, receive)
        found = self._kept.get(key)
        if found is not None:
            self._counts[method].inc()
            await send(found.start)
            await send(found.body)
            return
        await self._ask(key, scope, receive, send, count)

    def _key(self, scope: Scope) -> tuple[Any, ...] | None:
        method: str = scope["method"]
        if method not in self._counts or not self._changes.hearing:
            return None
        path: str = scope["path"]
        if self._closed and path.startswith(self._closed):
            return None
        varying = []
        for name, value in scope["headers"]:
            if name in _UNKEPT or (method == "POST" and _too_large(name, value)):
                return None
            if name in _VARYING:
                varying.append(value)
        # As it was sent: an escaped slash belongs to a name, another one ends it.
        return (method, scope.get("raw_path") or path, scope["query_string"], *varying)

    def _counting(self, scope: Scope, send: Send) -> Send:
        """Whoever was answered that something changed must find it changed, before we hear of it."""
        state = scope.setdefault("state", {})

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and state.get(CHANGED):
                self._changes.count += 1
            await send(message)

        return counted

    async def _ask(self, key: Any, scope: Scope, receive: Receive, send: Send, count: int) -> None:
        start: Message | None = None
        body: Message | None = None

        async def noted(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            elif body is None and not message.get("more_body", False):
                body = message
            else:
                body = None
                start = None
            await send(message)

        state = scope.setdefault("state", {})
        send = self._counting(scope, send)
        await self._app(scope, receive, noted)
        if start is None or body is None or start["status"] != 200 or not state.get(KEEP):  # noqa: PLR2004
            return
        # What was asked before a change may have been answered from before it.
        if count == self._changes.count == self._as_of:
            self._keep(key, start, body)

    def _keep(self, key: Any, start: Message, body: Message) -> None:
        size = len(body["body"]) + sum(len(part) for part in key) + 1000
        if size > ENTRY_BYTES_MAX or key in self._kept:
            return
        headers = [pair for pair in start["headers"] if pair[0] not in _PERSONAL_HEADERS]
        self._kept[key] = _Kept({**start, "headers": headers}, body, size)
        self._size += size
        while self._size > KEPT_BYTES_MAX:
            _oldest, gone = self._kept.popitem(last=False)
            self._size -= gone.size


def _too_large(name: bytes, value: bytes) -> bool:
    """Whether the body is longer than what is worth keeping, or of a length that is not told."""
    if name == b"content-length":
        return not value.isdigit() or int(value) > BODY_BYTES_MAX
    return name == b"transfer-encoding"


async def _whole_body(receive: Receive) -> bytes:
    """The body; the server itself holds it to the length that was announced."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
