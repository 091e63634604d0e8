"""One stream per page: server-sent events that name what the page should ask for anew.

Every web process listens for itself, so that any of them may hold a stream and any may make the change. The
id of an event is a place in the order of transactions; a browser that was away hands it back and hears
everything since, from whichever process it meets. A stream holds the set of topics that wait for it and no
more: whatever happens meanwhile, it is as large as its page has topics. A page whose person is signed out
elsewhere is told so as the last word of its stream.
"""

import asyncio
import random
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, FastAPI, Query, Request
from sqlalchemy import delete, func, select, text
from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse

from service_kit.database import Database, will_pass
from service_kit.errors import Invalid, Unavailable
from service_kit.identity.people import Visitor
from service_kit.listening import listen
from service_kit.live.changes import CHANNEL, KEPT_FOR, live_changes
from service_kit.roles import CurrentUser
from service_kit.serving.beside import beside
from service_kit.serving.runtime import Runtime, runtime_of
from service_kit.telemetry import LIVE_STREAMS
from service_kit.text import message as _

log = structlog.get_logger(__name__)

Topics = Mapping[str, Callable[[CurrentUser, str], str | None]]
"""By the name a page uses: the topic it means for this person, None where that person may not follow.

A name may carry an argument, `task:<id>`; without one the second parameter is empty."""

HEARTBEAT_S = 20.0
PAUSE_S = 0.25
"""Between two events of one stream, so that a burst of changes is one."""

LIFE_S = (480.0, 720.0)
"""A stream ends after a time out of this range and is asked for anew, with the rights of that moment."""

RETRY_MS = 1000
POLL_S = 5.0
SWEEP_S = 60.0
MARK_HOLDS_S = KEPT_FOR.total_seconds() / 2
LISTENING_PAUSE_S = 0.05
"""Between two readings, so that many small changes cost one."""

UNWATCHED_PAUSE_S = 0.5
"""The same while no page is open here; one that opens reads by itself what changed since it was made."""

STREAMS_MAX = 5000
TOPICS_OF_A_PAGE_MAX = 8
SEEN_MAX = 50_000
NAME_LENGTH_MAX = 100
EVERYTHING = "*"
SIGNED_OUT = b"event: signed-out\ndata:\n\n"
MARK = text("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
SINCE_MARK = text("""
    with snapshot as (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as mark)
    select snapshot.mark, recent.id, recent.topic, recent.transaction_id
    from snapshot left join live_changes recent on recent.transaction_id >= :since
""")
"""One statement, one snapshot: whatever is still under way in it ends at or above the next mark."""

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(eq=False)
class Stream:
    """One open page."""

    topics: Mapping[str, str]
    """Names of the page by topic."""

    waiting: set[str] = field(default_factory=set)
    """Names that have changed and were not told yet."""

    refused: Callable[[], bool] = lambda: False
    """Whether whoever opened the page was signed out, blocked or given another role since."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    def hear(self, names: set[str]) -> None:
        self.waiting |= names
        self.wake.set()

    def close(self) -> None:
        self.closed = True
        self.wake.set()


class LiveUpdates:
    """What one web process knows of recent changes, and the pages that are open at it."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database
        self._streams: dict[str, set[Stream]] = defaultdict(set)
        self._open: set[Stream] = set()
        self._watermark: int | None = None
        """Of every transaction before this number it is known what it changed."""

        self._seen: set[int] = set()
        """Ids of rows at or above the watermark that were told already."""

        self._wake = asyncio.Event()

    @property
    def streams(self) -> int:
        return len(self._open)

    def mark(self) -> str:
        """The present place in the order of changes, and when that was; empty while it is not known."""
        return "" if self._watermark is None else f"{self._watermark}.{int(time.time())}"

    async def run(self) -> None:
        """Listen and tell until cancelled; trouble of the database is waited out."""
        async with asyncio.TaskGroup() as group:
            # It is called as well for what was told while nobody listened.
            group.create_task(listen(self._database(), {CHANNEL: self._wake.set}))
            group.create_task(self._read_on())
            group.create_task(self._sweep())

    def close(self) -> None:
        """End every stream; browsers ask again, wherever they are led then."""
        for stream in list(self._open):
            stream.close()

    def end_refused(self) -> None:
        """End the streams of those who are not let in any more."""
        for stream in list(self._open):
            if stream.refused():
                stream.close()

    async def missed(self, stream: Stream, since: str) -> set[str]:
        """Names that changed since a mark; all of them when nobody can tell any more."""
        place = place_of(since)
        if place is None:
            return set(stream.topics.values())
        async with self._database().single_reads() as session:
            wanted = [*stream.topics, *(kind_of(topic) for topic in stream.topics)]
            rows = await session.scalars(
                select(live_changes.c.topic)
                .distinct()
                .where(live_changes.c.transaction_id >= place, live_changes.c.topic.in_(wanted))
            )
            return names_of(stream, set(rows))

    @asynccontextmanager
    async def opened(
        self, topics: Mapping[str, str], refused: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[Stream]:
        """A stream that hears from now on. Raises `Unavailable` when this process holds too many."""
        if len(self._open) >= STREAMS_MAX:
            raise Unavailable(_("Too many pages follow along; this one still works by reloading."))
        stream = Stream(topics, refused=refused)
        self._open.add(stream)
        for topic in topics:
            self._streams[topic].add(stream)
        LIVE_STREAMS.set(len(self._open))
        try:
            yield stream
        finally:
            self._open.discard(stream)
            for topic in topics:
                self._streams[topic].discard(stream)
                if not self._streams[topic]:
                    del self._streams[topic]
            LIVE_STREAMS.set(len(self._open))

    def _tell(self, changed: set[str]) -> None:
        for topic in changed:
            if topic.endswith(f":{EVERYTHING}"):
                kind = topic.removesuffix(EVERYTHING)
                heard = [known for known in self._streams if known.startswith(kind)]
            else:
                heard = [topic] if topic in self._streams else []
            for known in heard:
                for stream in self._streams[known]:
                    stream.hear({stream.topics[known]})

    async def _read_on(self) -> None:
        while True:
            try:
                await self._read_new()
            except Exception as error:
                if not will_pass(error):
                    raise
                log.warning("live_changes_unread", error=type(error).__name__)
            await asyncio.sleep(LISTENING_PAUSE_S if self._open else UNWATCHED_PAUSE_S)
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _read_new(self) -> None:
        async with self._database().single_reads() as session:
            if self._watermark is None:
                self._watermark = int((await session.execute(MARK)).scalar_one())
                return
            rows = (await session.execute(SINCE_MARK, {"since": self._watermark})).all()
        self._watermark = int(rows[0].mark)
        new = [row for row in rows if row.id is not None and row.id not in self._seen]
        self._seen = {row.id for row in rows if row.id is not None and row.transaction_id >= self._watermark}
        if len(self._seen) > SEEN_MAX:
            # A transaction that hangs holds the mark back; telling twice is only work.
            self._seen = set()
        if new:
            self._tell({row.topic for row in new})

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S * random.uniform(0.5, 1.5))  # noqa: S311  processes take turns
            try:
                async with self._database().transaction() as session:
                    await session.execute(
                        delete(live_changes).where(live_changes.c.at < func.clock_timestamp() - KEPT_FOR)
                    )
            except Exception as error:
                if not will_pass(error):
                    raise
                log.warning("live_changes_unswept", error=type(error).__name__)


def place_of(mark: str) -> int | None:
    """The transaction a mark names, or None when changes since then may have been swept away."""
    place, _point, moment = mark.partition(".")
    if not (_NUMBER.fullmatch(place) and _NUMBER.fullmatch(moment)):
        return None
    return int(place) if time.time() - int(moment) < MARK_HOLDS_S else None


def kind_of(topic: str) -> str:
    return f"{topic.partition(':')[0]}:{EVERYTHING}"


def names_of(stream: Stream, changed: set[str]) -> set[str]:
    return {name for topic, name in stream.topics.items() if topic in changed or kind_of(topic) in changed}


@asynccontextmanager
async def live_updates(app: FastAPI, runtime: Runtime) -> AsyncIterator[None]:
    """Follow along while the process runs; enter it in the service's `setup`."""
    live = LiveUpdates(lambda: runtime.database)
    app.state.live = live
    runtime.denials.on_hearing(live.end_refused)
    with _closing_at_the_signal(live):
        async with beside("live_updates", live.run):
            try:
                yield
            finally:
                live.close()


class _closing_at_the_signal:  # noqa: N801  reads as what it does, after `with`
    """End the streams as soon as the process is told to stop: the server waits for them before it goes on."""

    def __init__(self, live: LiveUpdates) -> None:
        self._live = live
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)
            if not callable(before):
                continue
            self._before[number] = before

            def stop(received: int, frame: Any, before: Any = before) -> None:
                loop.call_soon_threadsafe(self._live.close)
                before(received, frame)

            signal.signal(number, stop)

    def __exit__(self, *_exception: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


def live_of(connection: HTTPConnection) -> LiveUpdates | None:
    found: LiveUpdates | None = getattr(connection.app.state, "live", None)
    return found


def live_routes(known: Topics) -> APIRouter:
    """`GET /live?on=NAME&on=NAME&since=MARK`: the stream of a page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/live")
    async def live(
        request: Request,
        visitor: Visitor,
        on: Annotated[list[str], Query(max_length=TOPICS_OF_A_PAGE_MAX)],
        since: Annotated[str, Query(max_length=30)] = "",
    ) -> Response:
        updates = live_of(request)
        if updates is None:
            raise Unavailable(_("This page does not follow along for the moment."))
        if visitor is None:
            # The script of a page cannot read the status of a refused stream, only what a stream says.
            return _stream(_last_word())
        topics = {}
        for name in on:
            kind, _colon, argument = name[:NAME_LENGTH_MAX].partition(":")
            topic = known[kind](visitor, argument) if kind in known else None
            if topic is None:
                raise Invalid.of("on", _("There is nothing of this name to follow."))
            topics[topic] = name
        # What the browser heard last stands above where the page began.
        last = request.headers.get("Last-Event-ID", since)
        refused = partial(runtime_of(request).denials.refuses, visitor)
        return _stream(_events(updates, topics, last, refused))

    return router


def _stream(events: AsyncIterator[bytes]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _last_word() -> AsyncIterator[bytes]:
    yield SIGNED_OUT


async def _events(
    updates: LiveUpdates, topics: Mapping[str, str], since: str, refused: Callable[[], bool] = lambda: False
) -> AsyncIterator[bytes]:
    deadline = asyncio.get_running_loop().time() + random.uniform(*LIFE_S)  # noqa: S311  spreads returns
    async with updates.opened(topics, refused) as stream:
        yield f"retry: {RETRY_MS}\n\n".encode()
        # Heard from now on, then what was before: nothing lies between.
        if missed := await updates.missed(stream, since):
            stream.hear(missed)
        else:
            yield f"id: {since}\nevent: here\ndata:\n\n".encode()
        while not stream.closed and asyncio.get_running_loop().time() < deadline:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await stream.wake.wait()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            stream.wake.clear()
            if stream.waiting:
                names, stream.waiting = stream.waiting, set()
                # The mark may lie before what is told here: then it is told again, never lost.
                yield f"id: {updates.mark()}\nevent: changed\ndata: {' '.join(sorted(names))}\n\n".encode()
                await asyncio.sleep(PAUSE_S)
        if refused():
            yield SIGNED_OUT
