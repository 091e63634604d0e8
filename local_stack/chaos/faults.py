"""How each fault is done: signals to processes, lines that break, deleted data, cursors set back."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import asyncpg
import psutil

from local_stack import clock
from local_stack.chaos.lines import Line
from local_stack.chaos.schedule import SECOND_CLOSER, Fault, Kind
from local_stack.credentials import Credentials
from local_stack.engines.postgres import Postgres
from local_stack.environment import ADJUSTABLE, adjusted, environment
from local_stack.home import ROOT, Home
from local_stack.night import business_zone, past_midnight
from local_stack.ports import PortChooser
from local_stack.services import BILLING
from local_stack.state import State, living

_REPEATED_EVENTS = 300
_RESPAWN_AFTER_S = 0.5
_STOP_WITHIN_S = 15
_LATE_S = 0.1
"""How much later each way of a slow line is gone."""


class Storm:
    """Does faults to one exchange and keeps count of them."""

    def __init__(self, home: Home, state: State, lines: Mapping[str, Line]) -> None:
        self._home = home
        self._layout = state.layout
        self._lines = lines
        self._credentials = Credentials(home.secrets_file)
        self._second: asyncio.subprocess.Process | None = None
        self._passing: list[tuple[asyncio.TimerHandle, Callable[[], None]]] = []
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        """Faults that found nobody: the process was down already, or nothing went over that line."""

    async def keep_second_closer(self) -> None:
        """A second worker of billing, started again whenever it ends, until this is cancelled."""
        port = PortChooser().draw()
        told = environment(BILLING, self._home, self._layout, self._credentials)
        defaults = {name: adjusted(name) for name in ADJUSTABLE}
        command = [sys.executable, "-m", BILLING.package, "worker", "--metrics-port", str(port)]
        try:
            while True:
                with (self._home.logs / f"{SECOND_CLOSER}.log").open("ab") as log:
                    self._second = await asyncio.create_subprocess_exec(
                        *command,
                        cwd=ROOT,
                        env=os.environ | defaults | told | {"ATES_INSTANCE": "1"},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                await self._second.wait()
                await asyncio.sleep(_RESPAWN_AFTER_S)
        finally:
            await self._end_second_closer()

    async def _end_second_closer(self) -> None:
        process = self._process(SECOND_CLOSER)
        if process is None or self._second is None:
            return
        with suppress(psutil.Error):
            process.resume()
            process.terminate()
        try:
            await asyncio.wait_for(self._second.wait(), _STOP_WITHIN_S)
        except TimeoutError:
            with suppress(psutil.Error):
                process.kill()
            await self._second.wait()

    async def strike(self, fault: Fault) -> None:
        """Do it; a fault that finds nothing to break is counted as missed."""
        done = await self._strike(fault)
        (self.done if done else self.missed)[str(fault.kind)] += 1

    async def _strike(self, fault: Fault) -> bool:
        done = False
        match fault.kind:
            case Kind.MIDNIGHT:
                done = self._jump()
            case Kind.CUT:
                done = await self._cut(fault.target)
            case Kind.REPEAT:
                done = await self._repeat(fault.target)
            case Kind.WIPE:
                done = await asyncio.to_thread(self._wipe)
            case Kind.PAUSE:
                done = self._pause(fault)
            case Kind.RESET | Kind.STILL | Kind.SLOW | Kind.HALF_OPEN:
                done = self._break(fault)
            case _:
                done = self._kill(fault.target)
        return done

    def _jump(self) -> bool:
        ending = clock.business_now(self._home).astimezone(business_zone()).date()
        clock.move_to(self._home, past_midnight(ending, business_zone()))
        return True

    def _kill(self, name: str) -> bool:
        process = self._process(name)
        if process is None:
            return False
        with suppress(psutil.Error):
            process.kill()
        return True

    def _passes(self, after_s: float, end: Callable[[], None]) -> None:
        """The fault ends by itself after so long, or with the storm."""
        self._passing.append((asyncio.get_running_loop().call_later(after_s, end), end))

    def end_what_passes(self) -> None:
        for timer, end in self._passing:
            timer.cancel()
            end()
        self._passing.clear()

    def _process(self, name: str) -> psutil.Process | None:
        if name == SECOND_CLOSER:
            if self._second is None or self._second.returncode is not None:
                return None
            return psutil.Process(self._second.pid)
        state = State.read(self._home)
        record = next((one for one in state.processes if one.name == name), None) if state else None
        return living(record) if record is not None else None

    def _pause(self, fault: Fault) -> bool:
        process = self._process(fault.target)
        if process is None:
            return False

        def resume() -> None:
            with suppress(psutil.Error):
                process.resume()

        with suppress(psutil.Error):
            process.suspend()
        self._passes(fault.seconds, resume)
        return True

    def _break(self, fault: Fault) -> bool:
        line = self._lines[fault.target]
        if not line.connections:
            return False
        match fault.kind:
            case Kind.RESET:
                line.reset()
            case Kind.HALF_OPEN:
                line.lose()
                self._passes(fault.seconds, line.tell_of_lost)
            case Kind.SLOW:
                line.slow(_LATE_S)
                self._passes(fault.seconds, line.go_on)
            case _:
                line.pause()
                self._passes(fault.seconds, line.go_on)
        return True

    async def _cut(self, service: str) -> bool:
        ended = await self._execute(
            self._superuser(service),
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = $1",
            f"{service}_service",
        )
        return bool(ended)

    async def _repeat(self, service: str) -> bool:
        """Take the relay's slots away from it, and let whoever takes them begin further back."""
        moved = await self._execute(
            self._superuser(service),
            "with moved as (update relay_slots set position = greatest(0, position - $1), owner = null,"
            " leased_until = null, fence = fence + 1 returning 1) select count(*) from moved",
            _REPEATED_EVENTS,
        )
        return bool(moved)

    async def _execute(self, url: str, statement: str, *parameters: object) -> int | None:
        """The statement's one figure; None when the database is down just now."""
        try:
            connection = await asyncpg.connect(url, timeout=5)
            try:
                found: int = await connection.fetchval(statement, *parameters)
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        return found

    def _wipe(self) -> bool:
        """Another, empty cluster in the place of the first. The supervisor sleeps meanwhile."""
        state = State.read(self._home)
        supervisor = living(state.supervisor) if state else None
        process = self._process("kafka")
        if supervisor is None or process is None:
            return False
        supervisor.suspend()
        try:
            process.kill()
            # Its parent sleeps and can not bury it; a dead process holds no file.
            shutil.rmtree(self._home.kafka / "data", ignore_errors=True)
        finally:
            supervisor.send_signal(signal.SIGCONT)
        return True

    def _superuser(self, database: str) -> str:
        server = Postgres(self._home.postgres, self._layout.postgres, self._credentials.postgres)
        return server.dsn(database)
