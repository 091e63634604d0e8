"""The process that starts the exchange in order, keeps it running and stops it in order."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial

import httpx2
import psutil

from local_stack import log_files
from local_stack.credentials import Credentials
from local_stack.engines.databases import ensure_database
from local_stack.engines.gateway import Gateway
from local_stack.engines.java import find_java
from local_stack.engines.kafka import Kafka
from local_stack.engines.postgres import Postgres
from local_stack.engines.program import Program
from local_stack.environment import ADJUSTABLE, adjusted, environment, owner_environment
from local_stack.external import External
from local_stack.home import Home, installed_folder
from local_stack.keeping import Kept, Probe
from local_stack.launching import launch
from local_stack.layout import Layout, lines_of_environment
from local_stack.migrations import is_migrated, remember_migrated
from local_stack.ports import LOOPBACK
from local_stack.probes import alive_url, answers_200, health_url
from local_stack.services import SERVICES, Service
from local_stack.state import ProcessState, State, only_supervisor
from local_stack.troubles import Trouble

_LOOK_AFTER_LOGS_EVERY_S = 10
_TOGETHER = "services"
"""The process of all services, where they share one."""


class Supervisor:
    """One exchange, from its first process to its last."""

    def __init__(
        self,
        home: Home,
        layout: Layout,
        external: External,
        *,
        ends_with: int | None = None,
        together: bool = False,
    ) -> None:
        self._home = home
        self._layout = layout
        self._external = external
        self._ends_with = ends_with
        self._together = together
        self._credentials = Credentials(home.secrets_file)
        self._kept: list[Kept] = []
        self._stop_asked = asyncio.Event()
        me = psutil.Process()
        self._state = State(ProcessState("supervisor", me.pid, me.create_time()), "starting", layout)
        self._client = httpx2.AsyncClient(timeout=5, trust_env=False)

    async def run(self) -> int:
        """Start, keep, stop. Answers the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked.set)
        self._write()
        starting = asyncio.create_task(self._start())
        asked = asyncio.create_task(self._stop_asked.wait())
        watching = asyncio.create_task(self._watch())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and (error := starting.exception()) is not None:
            return await self._fail(error)
        await self._stop_asked.wait()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self._stop()
        asked.cancel()
        watching.cancel()
        self._home.state_file.unlink(missing_ok=True)
        return 0

    async def _fail(self, error: BaseException) -> int:
        traceback.print_exception(error)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._state.trouble = str(error) if isinstance(error, Trouble) else f"The start failed: {error!r}."
        self._state.phase = "failed"
        await self._stop()
        return 1

    async def _start(self) -> None:
        self._step("PostgreSQL and Kafka")
        async with asyncio.TaskGroup() as starting:
            # Kafka takes longest; the services load meanwhile, and their workers wait for it by themselves.
            starting.create_task(self._start_kafka())
            await self._start_databases()
            self._step("services")
            # The registry is the first of them. The others ask it for the numbers of their schemas, again and
            # again until it answers, and are ready only then.
            for kept in self._services():
                starting.create_task(kept.start())
            starting.create_task(self._gateway().start())
        self._state.phase = "ready"
        self._step("")

    async def _start_kafka(self) -> None:
        if self._external.kafka is not None:
            return
        broker = Kafka(
            self._home.kafka,
            self._layout.kafka,
            self._layout.kafka_controller,
            java=await asyncio.to_thread(find_java),
            jars=installed_folder() / "java",
            lines=self._layout.kafka_lines,
        )
        # Before each start: somebody may have cleared its data away meanwhile.
        kept = self._keep("kafka", broker.program(), _in_thread(broker.is_ready), before_start=broker.prepare)
        await kept.start()

    async def _start_databases(self) -> None:
        superuser = self._external.database_url or await self._start_postgres()
        for service in SERVICES:
            await ensure_database(superuser, service.name, self._credentials.database(service.name))
        self._step("migrations")
        async with asyncio.TaskGroup() as migrations:
            for service in SERVICES:
                migrations.create_task(self._migrate(service))

    async def _start_postgres(self) -> str:
        """Answers the superuser's address."""
        server = Postgres(self._home.postgres, self._layout.postgres, self._credentials.postgres)
        kept = self._keep(
            "postgres", server.program(), _in_thread(server.is_ready), before_start=server.prepare
        )
        await kept.start()
        return server.dsn()

    async def _migrate(self, service: Service) -> None:
        if is_migrated(self._home, service):
            return
        log = self._home.logs / f"{service.name}-migrate.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        told = owner_environment(service, self._home, self._layout, self._credentials)
        command = [sys.executable, "-m", service.package, "migrate"]
        process = await launch(Program(command, module=service.package, environment=_complete(told)), log)
        if await process.wait() != 0:
            raise Trouble(
                f"The database of {service.package} could not be migrated. Its log is {log}; the last lines "
                f"are:\n{log_files.last_words(log)}"
            )
        remember_migrated(self._home, service)

    def _services(self) -> Sequence[Kept]:
        if not self._together:
            return [kept for service in SERVICES for kept in self._processes(service)]
        told: dict[str, str] = {}
        places = []
        for service in SERVICES:
            # Each service's own settings begin with its name; what all are told is the same.
            told |= environment(service, self._home, self._layout, self._credentials)
            ports = [self._layout.web[service.name]]
            ports += [self._layout.worker[service.name]] if service.has_worker else []
            places.append(":".join([service.package, *map(str, ports)]))
        options = ["--host", LOOPBACK, "--port", str(self._layout.together), *places]
        return [self._python(_TOGETHER, "service_kit", options, self._layout.together, told)]

    def _processes(self, service: Service) -> Sequence[Kept]:
        told = environment(service, self._home, self._layout, self._credentials)
        web_port = self._layout.web[service.name]
        kept = [self._service_process(service, "web", ["--host", LOOPBACK, "--port"], web_port, told)]
        if service.has_worker:
            port = self._layout.worker[service.name]
            kept.append(self._service_process(service, "worker", ["--metrics-port"], port, told))
        return kept

    def _service_process(
        self, service: Service, process: str, options: list[str], port: int, told: dict[str, str]
    ) -> Kept:
        arguments = [process, *options, str(port)]
        return self._python(f"{service.name}-{process}", service.package, arguments, port, told)

    def _python(self, name: str, module: str, arguments: list[str], port: int, told: dict[str, str]) -> Kept:
        command = [sys.executable, "-m", module, *arguments]
        url = health_url(port)
        return self._keep(
            name,
            Program(command, module=module, environment=_complete(told)),
            partial(answers_200, self._client, url),
            # Alive is less than ready: a process that waits for its engines is not to be killed.
            alive=partial(answers_200, self._client, alive_url(port)),
            health_url=url,
        )

    def _gateway(self) -> Kept:
        gateway = Gateway(
            self._home.gateway,
            self._layout.gateway,
            {service.name: self._layout.way("gateway", service.name) for service in SERVICES},
        )
        return self._keep(
            "gateway", gateway.program(), _in_thread(gateway.is_ready), before_start=gateway.prepare
        )

    def _keep(
        self,
        name: str,
        program: Program,
        probe: Probe,
        *,
        before_start: Callable[[], None] | None = None,
        alive: Probe | None = None,
        health_url: str | None = None,
    ) -> Kept:
        kept = Kept(
            name,
            program,
            probe,
            logs=self._home.logs,
            changed=self._write,
            before_start=before_start,
            alive=alive,
            health_url=health_url,
        )
        self._kept.append(kept)
        return kept

    async def _watch(self) -> None:
        """Small duties: cut logs, and end when the terminal that owns a foreground exchange is gone."""
        while True:
            await asyncio.sleep(1)
            if self._ends_with is not None and not psutil.pid_exists(self._ends_with):
                self._stop_asked.set()
            if int(asyncio.get_running_loop().time()) % _LOOK_AFTER_LOGS_EVERY_S == 0:
                await asyncio.to_thread(log_files.rotate, self._home.logs)

    async def _stop(self) -> None:
        """First nobody new comes in, then the services end what they do, then the engines close."""
        if self._state.phase != "failed":
            self._state.phase = "stopping"
        by_name = {kept.state.name: kept for kept in self._kept}
        engines = ("kafka", "postgres")
        rounds = (
            ["gateway"],
            [name for name in by_name if name.endswith("-web") and name != "registry-web"],
            [name for name in by_name if name.endswith("-worker")],
            ["registry-web", _TOGETHER],
            engines,
        )
        for names in rounds:
            self._step(f"stopping {', '.join(names)}")
            await asyncio.gather(*(by_name[name].stop() for name in names if name in by_name))
        await self._client.aclose()

    def _step(self, step: str) -> None:
        self._state.step = step
        self._write()

    def _write(self) -> None:
        self._state.processes = [kept.state for kept in self._kept]
        self._state.write(self._home)


def _complete(told: dict[str, str]) -> dict[str, str]:
    """What the process is told, with our defaults for what a developer may set otherwise."""
    defaults = {name: adjusted(name) for name in ADJUSTABLE}
    # Output straight to the log, so that the last words of a killed process are there to read.
    return {**os.environ, **defaults, "PYTHONUNBUFFERED": "1", **told}


def _in_thread(probe: Callable[[], bool]) -> Probe:
    async def ask() -> bool:
        return await asyncio.to_thread(probe)

    return ask


def supervise(home: Home, port: int | None, ends_with: int | None, *, together: bool = False) -> int:
    """Run the supervisor in this process until it is asked to stop."""
    with only_supervisor(home):
        external = External.of_environment()
        layout = Layout.choose(port, external, lines_of_environment())
        return asyncio.run(_run(home, layout, external, ends_with, together=together))


async def _run(
    home: Home, layout: Layout, external: External, ends_with: int | None, *, together: bool
) -> int:
    return await Supervisor(home, layout, external, ends_with=ends_with, together=together).run()
