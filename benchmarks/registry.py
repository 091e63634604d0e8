"""The schema registry under load: reading by id, looking up, registering what is there; checks; validation.

64 clients ask one process of the running exchange, each again as soon as it is answered. The limit measured
beside it is a bare ASGI application on the same server and the same cores that gives the same bytes; the load
shares the cores with both. The figures of validation are loops in this process.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import asyncpg
import httpx2
import jsonschema  # type: ignore[import-untyped]
import jsonschema_rs
import orjson
import psutil
import uvloop

from benchmarks import ates
from local_stack.credentials import Credentials
from local_stack.environment import environment
from local_stack.home import Home
from local_stack.services import SERVICES
from local_stack.state import State

ROOT = Path(__file__).resolve().parent.parent
CONTRACT = ROOT / "schema_registry" / "schemas" / "tracker" / "task_created" / "2.json"
SUBJECT = "tracker.tasks-TaskCreated"
GOALS = {
    "get_by_id": 8000.0,
    "register_existing": 2500.0,
    "look_up": 2500.0,
    "p99_ms": 30.0,
    "start_10000_s": 2.0,
    "check_500_ms": 50.0,
    "validate_per_s": 300_000.0,
}
SCHEMAS = 10_000
WARM_UP_S = 0.5


class Client(asyncio.Protocol):
    """One connection that sends its request again as soon as it is answered."""

    def __init__(self, request: bytes, until: Callable[[], bool]) -> None:
        self._request = request
        self._until = until
        self._left = 0
        self._head = b""
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.times_s: list[float] = []
        self.failed = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        assert self._transport is not None  # noqa: S101  set when the connection was made
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self.failed += not head.startswith(b"HTTP/1.1 200")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._left = int(length or 0) - len(body)
            self._head = b""
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self.times_s.append(time.perf_counter() - self._sent_at)
            if self._until():
                assert self._transport is not None  # noqa: S101  as above
                self._transport.close()
            else:
                self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.failed += exc is not None


def processes_at(addresses: list[str]) -> list[psutil.Process]:
    """The processes that listen at these addresses."""
    ports = {urlsplit(address).port for address in addresses}
    listening = (one for one in psutil.net_connections("tcp4") if one.status == psutil.CONN_LISTEN)
    return [psutil.Process(one.pid) for one in listening if one.pid and one.laddr and one.laddr.port in ports]


def processor_s(processes: list[psutil.Process]) -> float:
    return sum(spent.user + spent.system for spent in (one.cpu_times() for one in processes))


async def load(addresses: list[str], request: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Requests per second, times of answers, and the processor time for each: the servers', the load's own.

    The clients are spread over the addresses.
    """
    servers, own = processes_at(addresses), [psutil.Process()]
    spent, spent_here = processor_s(servers), processor_s(own)
    begun = time.perf_counter()
    ends = begun + WARM_UP_S + seconds
    loop = asyncio.get_running_loop()
    crowd = []
    for number in range(clients):
        address = urlsplit(addresses[number % len(addresses)])
        _transport, client = await loop.create_connection(
            lambda: Client(request, lambda: time.perf_counter() >= ends),
            address.hostname or "",
            address.port or 80,
        )
        crowd.append(client)
    async with asyncio.timeout(WARM_UP_S + seconds + 30):
        await asyncio.gather(*(client.done for client in crowd))
    took = time.perf_counter() - begun
    times = [one * 1000 for client in crowd for one in client.times_s]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "per_s": round(len(times) / took),
        "processor_us": round((processor_s(servers) - spent) / len(times) * 1_000_000),
        "load_us": round((processor_s(own) - spent_here) / len(times) * 1_000_000),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
        "failed": sum(client.failed for client in crowd),
    }


def most_by_second(one: dict[str, float], cores: int) -> float:
    """How many times the answers of one process two could give on these cores, the load being what it is.

    No process, the load's neither, has more than one core, and all of them have no more than there are.
    """
    served, asked = one["processor_us"], one["load_us"]
    together = (served + asked) / cores
    return max(served, asked, together) / max(served / 2, asked, together)


def http(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: registry\r\nAccept: application/vnd.schemaregistry.v1+json\r\n"
    if body:
        head += f"Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def started(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of our own, ended at the end."""
    process = subprocess.Popen(  # noqa: S603  fixed words
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def answering(url: str) -> None:
    async with httpx2.AsyncClient() as client, asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.02)


def told() -> dict[str, str]:
    """What the registry's processes of this exchange are told."""
    home = Home.of_environment()
    state = State.read(home)
    if state is None:
        raise SystemExit("No exchange is running; start one with ./ates up.")
    service = next(one for one in SERVICES if one.name == "registry")
    found = {**os.environ, **environment(service, home, state.layout, Credentials(home.secrets_file))}
    # Where Python may not keep what it compiles, each start would compile every library again.
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


BARE = """
import uvicorn
BODY = {body!r}
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": HEADERS}})
        await send({{"type": "http.response.body", "body": BODY}})
uvicorn.run(app, port={port}, access_log=False, log_level="critical", lifespan="off")
"""


@contextlib.asynccontextmanager
async def second_registry(surroundings: dict[str, str]) -> AsyncIterator[tuple[str, float, float]]:
    """Another process of the same registry: its address, seconds until it answered, those of processor."""
    port = free_port()
    begun = time.perf_counter()
    command = [sys.executable, "-m", "schema_registry", "web", "--port", str(port)]
    with started(command, surroundings) as process:
        address = f"http://127.0.0.1:{port}"
        await answering(f"{address}/health/ready")
        took = time.perf_counter() - begun
        spent = psutil.Process(process.pid).cpu_times()
        yield address, took, spent.user + spent.system


async def filled(dsn: str) -> asyncpg.Connection:
    """Ten thousand schemas in a context of their own."""
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute(
            """
            with made as (
                insert into schemas (context, guid, schema_type, text, "references")
                select '.bench', gen_random_uuid(), 'JSON', '{"title":"' || n || '"}', '[]'
                from generate_series(1, $1::int) n returning id, text)
            insert into subject_versions (subject, version, context, schema_id)
            select ':.bench:' || id, 1, '.bench', id from made
            """,
            SCHEMAS,
        )
        await connection.execute(
            """
            with made as (
                insert into schemas (context, guid, schema_type, text, "references")
                values ('.bench', gen_random_uuid(), 'JSON', $1, '[]') returning id)
            insert into subject_versions (subject, version, context, schema_id)
            select ':.bench:wide', 1, '.bench', id from made
            """,
            wide(0),
        )
    return connection


async def emptied(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute("delete from subject_versions where context = '.bench'")
        await connection.execute("delete from schemas where context = '.bench'")
    await connection.close()


def wide(number: int) -> str:
    """A schema of 500 properties; the number makes it another one."""
    fields = {f"field{n}": {"type": "string", "maxLength": 100, "description": "x"} for n in range(500)}
    schema = {"type": "object", "title": str(number), "properties": fields, "additionalProperties": False}
    return json.dumps(schema, separators=(",", ":"))


async def check_ms(address: str, times: int = 20) -> float:
    """A check that no memory can answer: a schema of 500 properties against the one before it."""
    took = []
    async with httpx2.AsyncClient(timeout=30) as client:
        for number in range(1, times + 1):
            sent = {"schema": wide(number), "schemaType": "JSON"}
            begun = time.perf_counter()
            path = f"{address}/compatibility/subjects/:.bench:wide/versions/latest"
            answer = await client.post(path, json=sent, params={"verbose": "true"})
            took.append((time.perf_counter() - begun) * 1000)
            assert answer.json()["is_compatible"] is True, answer.text  # noqa: S101  or the figure means nothing
    return round(statistics.median(took), 1)


def validation() -> dict[str, int]:
    """Events per second that each library validates, formats included, and with the value made to bytes."""
    schema = json.loads(CONTRACT.read_text())
    event = schema["examples"][0]
    fast = jsonschema_rs.validator_for(schema, validate_formats=True)
    slow = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())

    def rate(action: Callable[[], object], seconds: float = 1.0) -> int:
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for _ in range(100):
                action()
            count += 100
        return round(count / (time.perf_counter() - begun))

    return {
        "jsonschema_rs_per_s": rate(lambda: fast.is_valid(event)),
        "jsonschema_rs_and_bytes_per_s": rate(lambda: (fast.is_valid(event), orjson.dumps(event))),
        "python_jsonschema_per_s": rate(lambda: slow.is_valid(event)),
    }


async def measure(clients: int, seconds: float) -> dict[str, Any]:
    status = json.loads(ates("status", "--json"))
    address = status["registry"]
    surroundings = told()
    async with httpx2.AsyncClient() as client:
        latest = (await client.get(f"{address}/subjects/{SUBJECT}/versions/latest")).json()
        by_id = (await client.get(f"{address}/schemas/ids/{latest['id']}")).content
    sent = orjson.dumps({"schema": latest["schema"], "schemaType": "JSON"})
    requests = {
        "get_by_id": http("GET", f"/schemas/ids/{latest['id']}"),
        "register_existing": http("POST", f"/subjects/{SUBJECT}/versions", sent),
        "look_up": http("POST", f"/subjects/{SUBJECT}", sent),
    }
    found: dict[str, Any] = {"benchmark": "registry", "clients": clients, "cores": os.cpu_count()}
    for name, request in requests.items():
        found[name] = await load([address], request, clients, seconds)
        found[name]["by_goal"] = round(found[name]["per_s"] / GOALS[name], 2)
    port = free_port()
    with started([sys.executable, "-c", BARE.format(body=by_id, port=port)]):
        await answering(f"http://127.0.0.1:{port}/")
        found["bare_server"] = await load(
            [f"http://127.0.0.1:{port}"], requests["get_by_id"], clients, seconds
        )
    found["get_by_id_of_limit"] = round(found["get_by_id"]["per_s"] / found["bare_server"]["per_s"], 2)
    connection = await filled(surroundings["REGISTRY_DATABASE_URL"])
    try:
        # The first start may have to compile what it loads; the next one finds it compiled.
        async with second_registry(surroundings):
            pass
        async with second_registry(surroundings) as (second, took, spent):
            found["start_10000_s"] = round(took, 2)
            found["start_10000_processor_s"] = round(spent, 2)
            found["two_processes"] = await load([address, second], requests["get_by_id"], clients, seconds)
        found["check_500_ms"] = await check_ms(address)
    finally:
        await emptied(connection)
    found["two_by_one"] = round(found["two_processes"]["per_s"] / found["get_by_id"]["per_s"], 2)
    found["two_by_one_at_most"] = round(most_by_second(found["get_by_id"], os.cpu_count() or 1), 2)
    found["validation"] = await asyncio.to_thread(validation)
    found["goals"] = GOALS
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = uvloop.run(measure(options.clients, options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    for name in ("get_by_id", "register_existing", "look_up", "bare_server", "two_processes"):
        one = found[name]
        goal = f"  goal {GOALS[name]:.0f}/s: {one['by_goal']}" if name in GOALS else ""
        print(
            f"{name:18} {one['per_s']:6}/s  p50 {one['p50_ms']} ms  p99 {one['p99_ms']} ms"
            f"  processor {one['processor_us']} us (load {one['load_us']} us)  failed {one['failed']}{goal}"
        )
    print(f"get_by_id by the bare server {found['get_by_id_of_limit']}")
    print(
        f"two processes by one {found['two_by_one']}; at most {found['two_by_one_at_most']} beside this load"
    )
    print(
        f"start with {SCHEMAS} schemas {found['start_10000_s']} s (goal {GOALS['start_10000_s']} s)"
        f", of processor {found['start_10000_processor_s']} s"
    )
    print(f"check of 500 properties {found['check_500_ms']} ms (goal {GOALS['check_500_ms']:.0f} ms)")
    for name, rate in found["validation"].items():
        print(f"{name:30} {rate}/s (goal {GOALS['validate_per_s']:.0f})")


if __name__ == "__main__":
    main()
