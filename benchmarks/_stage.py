"""Engines of a benchmark's own, in a folder that is deleted afterwards, and services started on them."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from local_stack.credentials import Credentials
from local_stack.engines.databases import ensure_database
from local_stack.engines.jars import bring_jars
from local_stack.engines.java import find_java
from local_stack.engines.kafka import Kafka
from local_stack.engines.postgres import Postgres
from local_stack.engines.program import Program
from local_stack.environment import environment, owner_environment
from local_stack.home import Home, installed_folder
from local_stack.launching import Running, launch
from local_stack.layout import Layout
from local_stack.ports import PortChooser
from local_stack.probes import answers_200, health_url
from local_stack.services import BILLING, REGISTRY, Service

POLL_S = 0.05


@dataclass
class Stage:
    """The engines and what is needed to speak to them."""

    home: Home
    layout: Layout
    credentials: Credentials
    postgres: Running
    kafka: Running

    async def run(self, service: Service, *arguments: str, owner: bool = False) -> Running:
        told = (owner_environment if owner else environment)(
            service, self.home, self.layout, self.credentials
        )
        program = Program(
            [sys.executable, "-m", service.package, *arguments], environment=told, module=service.package
        )
        return await launch(program, self.home.logs / f"{service.name}-{arguments[0]}.log")

    def superuser(self, database: str) -> str:
        return Postgres(self.home.postgres, self.layout.postgres, self.credentials.postgres).dsn(database)


@asynccontextmanager
async def engines() -> AsyncIterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="ates-bench-"))
    home = Home(folder)
    home.logs.mkdir()
    started: list[tuple[Running, int]] = []
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None  # noqa: S101  it runs in one
    # A polite kill ends a benchmark as Ctrl-C does: what it started ends with it.
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        layout = Layout.choose(PortChooser(set()).draw())
        credentials = Credentials(home.secrets_file)
        server = Postgres(home.postgres, layout.postgres, credentials.postgres)
        server.prepare()
        jars = installed_folder() / "java"
        bring_jars(jars)
        broker = Kafka(home.kafka, layout.kafka, layout.kafka_controller, java=find_java(), jars=jars)
        broker.prepare()
        running = []
        for name, engine in (("postgres", server), ("kafka", broker)):
            program = engine.program()
            process = await launch(program, home.logs / f"{name}.log")
            started.append((process, program.stop_signal))
            running.append(process)
            while not await asyncio.to_thread(engine.is_ready):  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_S)
        for service in (REGISTRY, BILLING):
            await ensure_database(server.dsn(), service.name, credentials.database(service.name))
        stage = Stage(home, layout, credentials, *running)
        for service in (REGISTRY, BILLING):
            process = await stage.run(service, "migrate", owner=True)
            if await process.wait() != 0:
                raise RuntimeError((home.logs / f"{service.name}-migrate.log").read_text()[-2000:])
        yield stage
    finally:
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        for process, number in reversed(started):
            process.send_signal(number)
            await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        loop.remove_signal_handler(signal.SIGTERM)


@asynccontextmanager
async def service(stage: Stage, which: Service, *arguments: str) -> AsyncIterator[Running]:
    process = await stage.run(which, *arguments)
    try:
        yield process
    finally:
        process.send_signal(15)
        await process.wait()


async def until_ready(port: int) -> None:
    """Return when the service's process on this port says that it is ready."""
    async with httpx2.AsyncClient(timeout=5, trust_env=False) as client:
        while not await answers_200(client, health_url(port)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_S)
