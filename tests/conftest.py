"""Fixtures of all tests: real engines, a database per test, the services' own settings and schemas."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import hypothesis
import psutil
import pytest
import structlog
from xdist.remote import Producer

from local_stack.engines.kafka import Kafka
from local_stack.engines.postgres import Postgres
from local_stack.ports import PortChooser
from service_kit.clock import FixedClock
from tests.support import engines
from tests.support.databases import Databases
from tests.support.services import Service
from tests.support.sharing import JOURNEYS, ByWhatTheyStart

NOON = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday, noon in Moscow."""

ROOM = 4 * 2**30
"""Bytes that the engines and exchanges of a session stay well below."""


# How long an example may take is no claim about what it shows.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # They take longest, and one process has them all: whoever begins with them ends with the others.
    items.sort(key=lambda item: not item.nodeid.startswith(JOURNEYS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWhatTheyStart:
    return ByWhatTheyStart(config, log)


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Tracebacks as plain text: the decorated form of one failing request takes seconds to draw."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])


@pytest.fixture(scope="session")
def run_folder() -> Iterator[Path]:
    """A folder for what runs as long as the session; pytest clears those of its own for later sessions.

    In memory where there is room: a database is some three hundred small files, which a disk takes much
    longer to make than to fill.
    """
    memory = Path("/dev/shm")  # noqa: S108  the folder made in it has a name of its own
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    place = memory if roomy else Path(gettempdir())
    for left in place.glob("ates-tests-*-*"):
        # Of a session that was killed before it could tidy up.
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"ates-tests-{os.getpid()}-"
    with TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as somebody else when we are root.
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(run_folder: Path) -> Iterator[Postgres]:
    with engines.postgres(run_folder) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(run_folder: Path) -> Iterator[Kafka]:
    # For tests that reach it over a line which breaks; the others come straight.
    ports = PortChooser()
    with engines.kafka(run_folder, lines={ports.draw(): ports.draw()}) as broker:
        yield broker


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Databases:
    return Databases(postgres)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def make_service(
    databases: Databases, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[Callable[..., Service]]:
    """`make_service("tracker")` is that service on a fresh database of its own, without a broker."""
    made: list[Service] = []

    def make(package: str, **settings: object) -> Service:
        service = Service.made(package, databases, clock, tmp_path, **settings)
        made.append(service)
        return service

    yield make
    for service in made:
        await service.close()
        databases.drop(service.addresses)


@pytest.fixture
def tracker(make_service: Callable[..., Service]) -> Service:
    return make_service("tracker")


@pytest.fixture
def billing(make_service: Callable[..., Service]) -> Service:
    return make_service("billing")


@pytest.fixture
def analytics(make_service: Callable[..., Service]) -> Service:
    return make_service("analytics")


@pytest.fixture
def auth(make_service: Callable[..., Service]) -> Service:
    return make_service("auth_service")


@pytest.fixture
def registry(make_service: Callable[..., Service]) -> Service:
    return make_service("schema_registry")
