"""`up`, `down` and `reset`: start the supervisor and show what it does, stop it, delete what it kept."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import psutil
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from local_stack.checks import check_machine
from local_stack.credentials import Credentials
from local_stack.engines.jars import bring_jars
from local_stack.external import External
from local_stack.home import ROOT, Home, installed_folder
from local_stack.layout import Layout
from local_stack.log_files import last_words
from local_stack.services import SERVICES
from local_stack.state import State, end_leftovers, living, running_state
from local_stack.troubles import Trouble
from local_stack.written_files import read_json

_POLL_S = 0.1
_START_WITHIN_S = 240
_STOP_WITHIN_S = 90

_ENGINES_COUNT = 3
"""Kafka, PostgreSQL and the gateway."""


def start(
    home: Home,
    console: Console,
    *,
    port: int | None,
    detach: bool,
    external: External | None = None,
    together: bool = False,
) -> State:
    """Start an exchange that does not run; return when all of it is ready.

    With `together` all services share one process.
    """
    external = external or External()
    check_machine(home.folder)
    external.refuse_silent()
    _clear_leftovers(home, console)
    if external.kafka is None:
        _bring_jars(console)
    Layout.choose(port, external)  # says at once which port is taken
    supervisor = _spawn_supervisor(home, port, external, detach=detach, together=together)
    services = 1 if together else sum(len(service.processes) for service in SERVICES)
    return _follow(home, console, supervisor, _ENGINES_COUNT + services)


def wait_for_end(home: Home, console: Console) -> None:
    """Keep a foreground exchange until Ctrl-C (or a polite kill), then stop it."""
    with _interruptible():
        try:
            while running_state(home):
                time.sleep(_POLL_S * 5)
        except KeyboardInterrupt:
            stop(home, console)
            console.print("Stopped.")
            return
    raise Trouble(f"The exchange ended by itself; see {home.logs / 'supervisor.log'}.")


def or_stop(home: Home, console: Console, work: Callable[[], None]) -> None:
    """Do what belongs to the start. When it fails or is interrupted, nothing stays half started."""
    try:
        with _interruptible():
            work()
    except BaseException:
        stop(home, console)
        raise


def stop(home: Home, console: Console) -> bool:
    """Stop all in order. Answers False when nothing ran."""
    state = State.read(home)
    if state is None:
        return False
    supervisor = living(state.supervisor)
    if supervisor is None:
        found = end_leftovers(state)
        home.state_file.unlink(missing_ok=True)
        return found > 0
    supervisor.terminate()
    with console.status("Stopping") as status:
        deadline = time.monotonic() + _STOP_WITHIN_S
        while living(state.supervisor) and time.monotonic() < deadline:
            current = State.read(home)
            if current and current.step:
                status.update(f"{current.step[:1].upper()}{current.step[1:]}")
            time.sleep(_POLL_S)
    if living(state.supervisor):
        supervisor.kill()
        end_leftovers(State.read(home) or state)
    home.state_file.unlink(missing_ok=True)
    return True


def delete_all(home: Home) -> None:
    """Delete the state of a stopped exchange; what was installed stays."""
    for path in home.everything():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _clear_leftovers(home: Home, console: Console) -> None:
    state = State.read(home)
    if state is not None and living(state.supervisor) is None:
        count = end_leftovers(state)
        if count:
            console.print(f"Ended {count} processes that a killed exchange had left running.")
        home.state_file.unlink(missing_ok=True)


def _bring_jars(console: Console) -> None:
    with Progress(
        TextColumn("Kafka from Maven Central"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task("jars", total=None, visible=False)
        bring_jars(
            installed_folder() / "java",
            lambda done, count: bar.update(task, completed=done, total=count, visible=True),
        )


def _spawn_supervisor(
    home: Home, port: int | None, external: External, *, detach: bool, together: bool
) -> subprocess.Popen[bytes]:
    options = ["--port", str(port)] if port is not None else []
    if together:
        options.append("--together")
    if not detach:
        options += ["--ends-with", str(os.getpid())]
    home.logs.mkdir(parents=True, exist_ok=True)
    with (home.logs / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "local_stack", "supervise", *options],
            cwd=ROOT,
            env=os.environ | external.environment | {"ATES_HOME": str(home.folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # It outlives this command, and gets its Ctrl-C by way of us, in order.
            start_new_session=True,
        )


def _follow(home: Home, console: Console, supervisor: subprocess.Popen[bytes], processes: int) -> State:
    """Show the start until it is done."""
    deadline = time.monotonic() + _START_WITHIN_S
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with _interruptible(), Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Starting", total=processes)
            while True:
                state = State.read(home)
                if state is not None and state.supervisor.pid == supervisor.pid:
                    _show(bar, task, state)
                    if state.phase == "ready":
                        return state
                _check_start(home, state, supervisor, deadline)
                time.sleep(_POLL_S)
    except BaseException:
        if supervisor.poll() is None:
            supervisor.terminate()
            console.print("Stopping what was started")
            supervisor.wait(_STOP_WITHIN_S)
        home.state_file.unlink(missing_ok=True)
        raise


def _check_start(
    home: Home, state: State | None, supervisor: subprocess.Popen[bytes], deadline: float
) -> None:
    if supervisor.poll() is not None:
        if state is not None and state.trouble:
            raise Trouble(state.trouble)
        raise Trouble(f"The start failed:\n{last_words(home.logs / 'supervisor.log')}")
    if time.monotonic() > deadline:
        raise Trouble(f"The exchange was not ready within {_START_WITHIN_S} s; see ./ates logs.")


def _show(bar: Progress, task: TaskID, state: State) -> None:
    running = sum(process.state == "running" for process in state.processes)
    bar.update(task, description=f"Starting: {state.step}", completed=running)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Inside, a polite kill and a closed terminal end the command as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe(state: State, home: Home) -> str:
    """Addresses and sign-ins, for a person."""
    password = Credentials(home.secrets_file).demo_password
    layout = state.layout
    return (
        f"\n[bold green]The exchange is ready:[/] [bold]{layout.gateway_url}[/]\n\n"
        f"  schema registry  {layout.registry_url}\n"
        f"  Kafka            {layout.kafka_address}\n"
        f"  letters          {_where_letters_go(home)}\n\n"
        f"  Sign in as {_who_signs_in(home)} with password [bold]{password}[/]\n"
    )


def _where_letters_go(home: Home) -> str:
    """A mail server is told to every service at once or to one of the two that write letters."""
    settings = ("ATES_SMTP_URL", "AUTH_SMTP_URL", "BILLING_SMTP_URL")
    by_mail = [name for name in settings if os.environ.get(name)]
    # Not its address: a password may stand in it.
    return f"to the mail server of {by_mail[0]}" if by_mail else str(home.letters)


def _who_signs_in(home: Home) -> str:
    """Without a demo there is only the first administrator; authors of a repository have no passwords."""
    demo = read_json(home.demo_file) or {}
    if demo.get("state") != "loaded":
        return "[bold]admin[/]"
    office = "[bold]admin[/], [bold]manager[/]"
    if demo.get("workers_sign_in", True):
        return f"{office}, [bold]accountant[/] or [bold]worker1[/] ... [bold]worker5[/]"
    return f"{office} or [bold]accountant[/]"


def uptime_s(state: State) -> float:
    process = living(state.supervisor)
    return time.time() - process.create_time() if process else 0.0


def resident_bytes(state: State) -> int:
    """Memory of everything that runs, the backends of PostgreSQL included. Shared pages count once each."""
    total = 0
    for record in [state.supervisor, *state.processes]:
        process = living(record)
        for part in [process, *process.children(recursive=True)] if process else []:
            try:
                total += part.memory_info().rss
            except psutil.Error:
                continue
    return total
