"""The tracker's pages under load: one web process, a million tasks, 200 requests a second.

Open loop over HTTP at the process's own port: each request is due at its moment whatever the process does,
and is measured from then. Most are whole pages, as a browser asks for them when somebody comes; others are
what a tap on "complete" sends. The people's sessions lie in a database of this run alone, beside the tasks.
"""

import argparse
import asyncio
import json
import re
import secrets
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

import asyncpg
import psutil
import uvloop

from benchmarks.tracker import Stage, percentiles, staged
from local_stack.ports import PortChooser
from service_kit.database import Database
from service_kit.identity.sessions import Sealer, Sessions, WebSession, hash_of
from service_kit.roles import Role

RATE_PER_S = 200
SECONDS = 30
TASKS = 1_000_000
PEOPLE = 497
"""No multiple of the turns below, so that everybody does everything."""

CONNECTIONS = 64
GOAL_P95_MS = 100.0
ORDER = ("mine", "all", "complete", "mine", "complete", "all", "mine", "task", "mine", "complete")
"""What people do, in turn."""

READY_WITHIN_S = 60
SOMEBODY = "select id from accounts order by id limit $1"
THEIRS = "select id, assignee_id from tasks where status = 'open' and assignee_id = any($1::uuid[])"


@dataclass
class Person:
    guid: UUID
    cookie: str
    open: list[UUID] = field(default_factory=list)


@dataclass
class Seen:
    """What the load saw, by kind of request."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: Counter[str] = field(default_factory=Counter)


class Line:
    """One kept-open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> "Line":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**20))

    async def ask(self, method: str, path: str, cookie: str, body: str = "") -> int:
        further = ""
        if method == "POST":
            further = (
                f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
                "HX-Request: true\r\n"
            )
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nCookie: {cookie}\r\nAccept: text/html\r\n"
            f"Accept-Language: en\r\nSec-Fetch-Site: same-origin\r\n{further}\r\n{body}".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        await self._reader.readexactly(int(length[1]) if length else 0)
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        self._writer.close()


async def people_of(stage: Stage, database: Database) -> list[Person]:
    """Workers who are signed in, with the tasks they may complete."""
    connection = await asyncpg.connect(stage.settings.database_url.get_secret_value())
    try:
        guids = [row[0] for row in await connection.fetch(SOMEBODY, PEOPLE)]
        found = {guid: Person(guid, secrets.token_urlsafe()) for guid in guids}
        for row in await connection.fetch(THEIRS, guids):
            found[row["assignee_id"]].open.append(row["id"])
    finally:
        await connection.close()
    sessions = Sessions(Sealer(stage.settings.secret_key.get_secret_value(), "web sessions"))
    now = datetime.now(UTC)
    async with database.transaction() as session:
        for person in found.values():
            await sessions.add(
                session,
                WebSession(
                    id_hash=hash_of(person.cookie),
                    account_guid=person.guid,
                    provider_session_id=None,
                    role=Role.WORKER,
                    name="Polly",
                    locale="en",
                    id_token=secrets.token_hex(400),
                    refresh_token=None,
                    fresh_until=now + timedelta(hours=1),
                    expires_at=now + timedelta(days=1),
                ),
            )
    return list(found.values())


@contextmanager
def web_process(port: int) -> Iterator[psutil.Process]:
    """One web process of the tracker, told where the stage is by this process's environment."""
    command = [sys.executable, "-m", "tracker", "web", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603  our own program
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


async def until_ready(port: int) -> None:
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                line = await Line.to(port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            status = await line.ask("GET", "/health/ready", "")
            line.close()
            if status == 200:  # noqa: PLR2004  ready
                return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def lines(port: int) -> AsyncIterator["asyncio.Queue[Line]"]:
    free: asyncio.Queue[Line] = asyncio.Queue()
    opened = [await Line.to(port) for _ in range(CONNECTIONS)]
    for line in opened:
        free.put_nowait(line)
    try:
        yield free
    finally:
        for line in opened:
            line.close()


def request_of(kind: str, person: Person) -> tuple[str, str, str]:
    """Method, path and body."""
    match kind:
        case "mine":
            return "GET", "/", ""
        case "all":
            return "GET", "/all", ""
        case "task":
            return "GET", f"/tasks/{person.open[0]}", ""
        case _:
            return "POST", f"/tasks/{person.open.pop()}/complete", "place=mine"


async def load(port: int, people: list[Person], rate_per_s: float, seconds: float) -> Seen:
    """Let requests fall due at the rate; who waits for a free connection waits on the clock."""
    seen = Seen()
    async with lines(port) as free, asyncio.TaskGroup() as group:

        async def one(kind: str, person: Person, due: float) -> None:
            line = await free.get()
            try:
                method, path, body = request_of(kind, person)
                status = await line.ask(method, path, f"ates-tracker={person.cookie}", body)
            finally:
                free.put_nowait(line)
            seen.times_ms[kind].append((time.perf_counter() - due) * 1000)
            if status != 200:  # noqa: PLR2004  a page, or the row that was completed
                seen.failures[f"{kind} {status}"] += 1

        turns = zip(cycle(ORDER), cycle(people), strict=False)
        begun = time.perf_counter()
        for number in range(int(rate_per_s * seconds)):
            due = begun + number / rate_per_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            kind, person = next(turns)
            group.create_task(one(kind, person, due))
    return seen


async def measure(tasks: int, rate_per_s: float, seconds: float) -> dict[str, Any]:
    async with staged() as (stage, database):
        await stage.fill(tasks)
        people = await people_of(stage, database)
        port = PortChooser().draw()
        with web_process(port) as process:
            await until_ready(port)
            # What a process does once, compiling templates and filling its pools, is no part of the figures.
            await load(port, people, 20, 5)
            before = process.cpu_times()
            seen = await load(port, people, rate_per_s, seconds)
            after = process.cpu_times()
            memory_mb = process.memory_info().rss // 2**20
    asked = sum(map(len, seen.times_ms.values()))
    used_s = after.user + after.system - before.user - before.system
    slowest_p95 = max(percentiles(times)["p95"] for times in seen.times_ms.values())
    return {
        "benchmark": "tracker_web",
        "tasks": tasks,
        "rate_per_s": rate_per_s,
        "requests": asked,
        "failures": dict(seen.failures),
        "cpu_ms_each": round(used_s * 1000 / asked, 2),
        "memory_mb": memory_mb,
        "ms": {kind: percentiles(times) for kind, times in sorted(seen.times_ms.items())},
        "p95_by_goal": round(slowest_p95 / GOAL_P95_MS, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--rate", type=float, default=RATE_PER_S)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = uvloop.run(measure(options.tasks, options.rate, options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['requests']} requests at {found['rate_per_s']:.0f}/s, {found['tasks']} tasks, one process")
    for kind, times in found["ms"].items():
        print(f"  {kind:9} p50 {times['p50']:7} ms  p95 {times['p95']:7} ms  p99 {times['p99']:7} ms")
    print(f"  processor of the web process: {found['cpu_ms_each']} ms each; memory {found['memory_mb']} MB")
    print(f"  the slowest p95 by the goal of {GOAL_P95_MS:.0f} ms: {found['p95_by_goal']}")
    print(f"  failures: {found['failures'] or 'none'}")


if __name__ == "__main__":
    main()
