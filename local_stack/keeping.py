"""Keeping one process running: start, watch, start again after a rest, stop in good order."""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil

from local_stack.engines.program import Program
from local_stack.launching import Running, launch
from local_stack.log_files import last_words
from local_stack.probes import reasons
from local_stack.restart_delay import RestartDelay
from local_stack.state import ProcessState
from local_stack.troubles import Trouble

Probe = Callable[[], Awaitable[bool]]

_PROBE_EVERY_S = 0.2
_HUNG_AFTER = 6
"""Looks without an answer in a row: a process that hangs is worse than one that ended, and is ended."""
_CHANCES_TO_GET_READY = 3


class Kept:
    """One program that shall run, and the process that runs it at present."""

    def __init__(
        self,
        name: str,
        program: Program,
        probe: Probe,
        *,
        logs: Path,
        changed: Callable[[], None],
        before_start: Callable[[], None] | None = None,
        alive: Probe | None = None,
        look_every_s: float = 10,
        health_url: str | None = None,
    ) -> None:
        self.state = ProcessState(name, health_url=health_url)
        self._program = program
        self._probe = probe
        self._alive = alive
        self._look_every_s = look_every_s
        self._log = logs / f"{name}.log"
        self._changed = changed
        self._before_start = before_start
        self._process: Running | None = None
        self._task: asyncio.Task[None] | None = None
        self._was_ready = asyncio.Event()
        self._stopping = False

    async def start(self, within_s: float = 90) -> None:
        """Return when the process is ready; from then on it is kept running.

        Raises `Trouble` with its last words when it ends again and again, or takes too long.
        """
        self._task = asyncio.create_task(self._keep(), name=self.state.name)
        ready = asyncio.create_task(self._was_ready.wait())
        await asyncio.wait({self._task, ready}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if self._was_ready.is_set():
            return
        ready.cancel()
        ended = self._task.done()
        reason = "ended before it was ready" if ended else f"was not ready within {within_s:.0f} s"
        if not ended and self.state.health_url and (why := await reasons(self.state.health_url)):
            reason = f"{reason}: {'; '.join(why)}"
        words = last_words(self._log)
        raise Trouble(f"{self.state.name} {reason}. Its log is {self._log}; the last lines are:\n{words}")

    async def stop(self) -> None:
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            self._set("stopping")
            self._signal(self._program.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self._program.stop_within_s)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._set("stopped")

    async def _keep(self) -> None:
        delay = RestartDelay()
        while True:
            began = time.monotonic()
            await self._run_once()
            if self._stopping:
                return
            if not self._was_ready.is_set() and self.state.restarts + 1 >= _CHANCES_TO_GET_READY:
                self._set("failed")
                return
            self.state.restarts += 1
            self._set("resting")
            await asyncio.sleep(delay.after(time.monotonic() - began))

    async def _run_once(self) -> None:
        """One life of the process, from its start to its end."""
        if self._before_start is not None:
            await asyncio.to_thread(self._before_start)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = process = await launch(self._program, self._log)
        self.state.pid = process.pid
        with suppress(psutil.Error):
            self.state.born = psutil.Process(process.pid).create_time()
        self._set("starting")
        probing = asyncio.create_task(self._look_after(process))
        try:
            await process.wait()
        finally:
            probing.cancel()
            self.state.pid = self.state.born = None

    async def _look_after(self, process: Running) -> None:
        while not await self._probe():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(_PROBE_EVERY_S)
        self._was_ready.set()
        self._set("running")
        silent = 0
        while self._alive is not None and silent < _HUNG_AFTER:
            await asyncio.sleep(self._look_every_s)
            silent = 0 if await self._alive() else silent + 1
        if silent:
            print(f"{self.state.name} did not answer {silent} times in a row: killed", file=sys.stderr)
            process.send_signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(number)

    def _set(self, state: str) -> None:
        self.state.state = state
        self._changed()
