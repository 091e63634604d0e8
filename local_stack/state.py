"""What a running exchange writes about itself for the other commands, and what a killed one leaves behind."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import psutil

from local_stack.home import Home
from local_stack.layout import Layout
from local_stack.written_files import read_json, write_json

Phase = Literal["starting", "ready", "stopping", "failed"]


@dataclass
class ProcessState:
    """One process as the supervisor sees it."""

    name: str
    pid: int | None = None
    born: float | None = None
    """When that pid began: a pid alone may belong to somebody else by now."""

    state: str = "waiting"
    restarts: int = 0
    health_url: str | None = None


@dataclass
class State:
    """The content of the state file."""

    supervisor: ProcessState
    phase: Phase
    layout: Layout
    step: str = ""
    trouble: str | None = None
    processes: list[ProcessState] = field(default_factory=list)

    def write(self, home: Home) -> None:
        write_json(home.state_file, asdict(self))

    @classmethod
    def read(cls, home: Home) -> "State | None":
        known: dict[str, Any] | None = read_json(home.state_file)
        if known is None:
            return None
        return cls(
            supervisor=ProcessState(**known["supervisor"]),
            phase=known["phase"],
            layout=Layout(**known["layout"]),
            step=known["step"],
            trouble=known["trouble"],
            processes=[ProcessState(**process) for process in known["processes"]],
        )


def living(process: ProcessState) -> psutil.Process | None:
    """The process itself, if it still is the one that was written down."""
    if process.pid is None:
        return None
    with suppress(psutil.Error):
        found = psutil.Process(process.pid)
        # Start times are told in ticks of 10 ms and computed from the boot time, which may be corrected.
        same = process.born is None or abs(found.create_time() - process.born) < 2  # noqa: PLR2004
        if same and found.status() != psutil.STATUS_ZOMBIE:
            return found
    return None


def running_state(home: Home) -> State | None:
    """The state of an exchange whose supervisor lives."""
    state = State.read(home)
    return state if state is not None and living(state.supervisor) else None


def end_leftovers(state: State) -> int:
    """End what a killed supervisor left running: politely, then not. Answers how many there were."""
    found = [process for record in state.processes if (process := living(record))]
    for process in reversed(found):
        with suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=10)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    return len(found)


class AlreadyRunning(Exception):
    """Another supervisor holds the lock of this exchange."""


@contextmanager
def only_supervisor(home: Home) -> Iterator[None]:
    """Held by the supervisor for its life. The system lets go of it however the process ends."""
    home.folder.mkdir(parents=True, exist_ok=True)
    with (home.folder / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning from error
        yield
