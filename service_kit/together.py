"""All services in one process, for tests and small installs: the same apps and workers, side by side.

Each has a thread and a loop of its own, its own settings and database role and texts; to each other they
speak over HTTP and Kafka, as ever. Borders stay what they are: this module knows the services by name alone.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

import httpx2
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service_kit import telemetry
from service_kit.collecting import leave_alone_what_is_loaded
from service_kit.ending import tell_all_to_end, when_told_to_end
from service_kit.serving.server import web_config
from service_kit.settings import ServiceSettings
from service_kit.text import speak_as

log = structlog.get_logger(__name__)

ORDERLY_END_S = 15.0
ASK_WITHIN_S = 3.0


@dataclass(frozen=True)
class Place:
    """Where one service answers: its web app, and its worker if it has one."""

    package: str
    web_port: int
    metrics_port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Of `package:web port` or `package:web port:metrics port`. Raises `ValueError`."""
        package, *ports = text.split(":")
        if not package.isidentifier() or find_spec(package) is None or find_spec(f"{package}.app") is None:
            raise ValueError(f"{package} is no service")
        if not 1 <= len(ports) <= 2 or not all(port.isdigit() for port in ports):  # noqa: PLR2004  web, metrics
            raise ValueError(f"{text} is not package:web port or package:web port:metrics port")
        return cls(package, *map(int, ports))

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.web_port,) if self.metrics_port is None else (self.web_port, self.metrics_port)


class Together:
    """The threads of all parts. `failed` says whether one of them ended by itself or with trouble."""

    def __init__(self, places: Sequence[Place], host: str) -> None:
        self.host = host
        self.places = places
        self._threads: list[threading.Thread] = []
        self._ending = False
        self.failed = False

    def start(self) -> None:
        # Loaded before any thread begins: two that import the same module would wait for each other.
        parts: list[tuple[Place, str, str, Callable[[], None]]] = []
        for place in self.places:
            settings = _settings(place.package)
            web: Callable[..., Any] = resolve_name(f"{place.package}.app:web")
            parts.append((place, settings.name, "web", partial(self._serve, place, web, settings)))
            if place.metrics_port is not None:
                work: Callable[..., None] = resolve_name(f"{place.package}.worker:work")
                running = partial(work, settings, metrics_port=place.metrics_port, host=self.host)
                parts.append((place, settings.name, "worker", running))
        leave_alone_what_is_loaded()
        for place, name, process, call in parts:
            thread = threading.Thread(
                target=self._run, args=(place, name, process, call), name=f"{name}-{process}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Tell all to end and wait for them, but not for ever."""
        self._ending = True
        tell_all_to_end()
        for thread in self._threads:
            thread.join(ORDERLY_END_S / len(self._threads))

    def _run(self, place: Place, name: str, process: str, call: Callable[[], None]) -> None:
        # A thread has a context of its own, and so has whatever begins in it.
        telemetry.speaking.set((name, process))
        speak_as(place.package)
        try:
            call()
        except SystemExit as ended:
            self.failed |= bool(ended.code)
        except BaseException:
            self.failed = True
            log.critical("part_failed", exc_info=True)
        if not self._ending:
            # As a process of its own would: all are started again.
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)

    def _serve(self, place: Place, web: Callable[[Any], Any], settings: ServiceSettings) -> None:
        server = uvicorn.Server(web_config(web(settings), self.host, place.web_port))
        when_told_to_end(partial(setattr, server, "should_exit", True))
        server.run()


def run_together(places: Sequence[Place], *, host: str, port: int, log_level: str = "INFO") -> int:
    """Run all parts until the process is told to end; answers its exit code.

    `port` answers `/health/live`, and `/health/ready` once every part is ready.
    """
    telemetry.configure_logging("together", "all", log_level)
    telemetry.configure_tracing("together", _settings(places[0].package).otlp_endpoint)
    return asyncio.run(_run(Together(places, host), port))


async def _run(parts: Together, port: int) -> int:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await asyncio.to_thread(parts.start)
    server = uvicorn.Server(web_config(_health(parts), parts.host, port))
    # The signals are ours.
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    serving = asyncio.create_task(server.serve())
    await told.wait()
    await asyncio.to_thread(parts.end)
    server.should_exit = True
    await serving
    return 1 if parts.failed else 0


def _health(parts: Together) -> Starlette:
    client = httpx2.AsyncClient(timeout=ASK_WITHIN_S, trust_env=False)
    addresses = [f"http://{parts.host}:{port}" for place in parts.places for port in place.ports]

    async def answer(request: Request) -> Response:
        answers = await asyncio.gather(*(_answers(client, one + request.url.path) for one in addresses))
        silent = [one for one, well in zip(addresses, answers, strict=True) if not well]
        return JSONResponse({"ready": not silent, "silent": silent}, status_code=503 if silent else 200)

    return Starlette(routes=[Route("/health/live", answer), Route("/health/ready", answer)])


async def _answers(client: httpx2.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(address)).is_success
    except httpx2.HTTPError:
        return False


def _settings(package: str) -> ServiceSettings:
    """The settings of a service: the one class of the kind that its `settings` module declares."""
    module = resolve_name(f"{package}.settings")
    (found,) = (
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind.__module__ == module.__name__
    )
    settings: ServiceSettings = found()
    return settings
