"""Real PostgreSQL and Kafka for tests: thrown away after the session, the same engines as in `./ates up`."""

import asyncio
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local_stack.engines.databases import RIGHTS, ensure_database
from local_stack.engines.jars import bring_jars
from local_stack.engines.java import find_java
from local_stack.engines.kafka import Kafka
from local_stack.engines.postgres import Postgres
from local_stack.engines.program import Program
from local_stack.home import installed_folder
from local_stack.ports import PortChooser

_START_WITHIN_S = 90


@dataclass(frozen=True)
class DatabaseAddresses:
    """Addresses of one database: for its owner, its service, its reader and the superuser."""

    name: str
    owner: str
    service: str
    reader: str
    superuser: str


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A running PostgreSQL with its data in `folder`."""
    server = Postgres(folder / "postgres", PortChooser().draw(), secrets.token_hex(8))
    server.prepare()
    program = server.program()
    # Nothing here outlives the session; what a power cut does to PostgreSQL is not ours to test.
    hasty = replace(program, command=[*program.command, "-c", "fsync=off", "-c", "full_page_writes=off"])
    with running(hasty, folder / "postgres.log", server.is_ready):
        yield server


@contextmanager
def kafka(
    folder: Path,
    port: int | None = None,
    controller_port: int | None = None,
    lines: Mapping[int, int] | None = None,
) -> Iterator[Kafka]:
    """A running Kafka with its data in `folder`; `.address`; free ports unless given."""
    jars = installed_folder() / "java"
    bring_jars(jars)
    ports = PortChooser()
    folder.mkdir(parents=True, exist_ok=True)
    broker = Kafka(
        folder / "kafka",
        port or ports.draw(),
        controller_port or ports.draw(),
        java=find_java(),
        jars=jars,
        lines=lines,
    )
    broker.prepare()
    with running(broker.program(), folder / "kafka.log", broker.is_ready):
        yield broker


def create_database(server: Postgres, name: str) -> DatabaseAddresses:
    """Database `name` with its three roles, as local_stack makes it for a service. Needs no event loop."""
    passwords = {right: secrets.token_hex(8) for right in RIGHTS}
    # In a thread of its own, as the caller may be a fixture inside a running event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, ensure_database(server.dsn(), name, passwords)).result()
    return DatabaseAddresses(
        name=name,
        **{right: server.dsn(name, f"{name}_{right}", passwords[right]) for right in RIGHTS},
        superuser=server.dsn(name),
    )


@contextmanager
def running(program: Program, log: Path, is_ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `program` until the block ends; the block begins when it is ready."""
    process = start(program, log)
    try:
        wait_until(is_ready, process, log)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(program.stop_signal)
            try:
                process.wait(program.stop_within_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def start(program: Program, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            program.command,
            env=os.environ | dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **program.account,
            # A Ctrl-C in the terminal is for pytest, which then stops the engines in order.
            start_new_session=True,
        )


def wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the engine did not start: {log.read_text()[-2000:]}")
        time.sleep(0.02)
