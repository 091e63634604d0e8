"""Two ways to start a program: as a new process image, or forked from one that has the libraries loaded.

A Python process of ours spends seconds loading libraries that all of them share, and there are many. On Linux
one process loads them once (the standard library's fork server) and every service's process is a fork of it:
the exchange starts in half the time and shares the libraries' memory. Elsewhere each loads its own.
"""

import asyncio
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from local_stack.engines.program import Program
from local_stack.home import ROOT

CAN_FORK = sys.platform == "linux"
_COMM_LENGTH = 15
_CODE_WITHIN_S = 5


class Running(Protocol):
    """A started process, as `asyncio.subprocess.Process` tells of it."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, signal: int, /) -> None: ...


async def launch(program: Program, log: Path) -> Running:
    """Start the program with its output appended to `log`. Raises `OSError` when it cannot be started."""
    if program.module is not None and CAN_FORK:
        try:
            return await _Forked.launch(program, program.module, log)
        except (OSError, EOFError) as error:
            print(f"{log.stem} is not forked ({error!r}); it loads its own libraries", file=sys.stderr)
    # Appending, because the log is cut while the process writes.
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *program.command,
            cwd=ROOT,
            env=os.environ | dict(program.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Signals of the terminal are for the supervisor, which stops everything in order.
            start_new_session=True,
            **program.account,
        )


class _Forked:
    """A fork of the process that has the libraries loaded.

    Its end is seen by a descriptor of the process itself. The pipe that the standard library waits at ends
    with the fork server too, and would then tell of a death that did not happen.
    """

    def __init__(self, process: BaseProcess, pid: int) -> None:
        self._process = process
        self.pid = pid
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(pid)
        self._noting: asyncio.Task[None] | None = None
        self._loop.add_reader(self._descriptor, self._note_end)

    @classmethod
    async def launch(cls, program: Program, module: str, log: Path) -> "_Forked":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["local_stack.preloaded"])
        environment = os.environ | dict(program.environment)
        process = context.Process(
            target=run_forked,
            args=(module, list(program.command[3:]), environment, log),
            # The supervisor ends it in order, and does not wait for it when it ends in disorder.
            daemon=True,
        )
        # Answers only once the libraries are loaded.
        await asyncio.to_thread(process.start)
        if process.pid is None:
            raise OSError(f"no process for {module}")
        return cls(process, process.pid)

    @property
    def returncode(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def send_signal(self, signal: int, /) -> None:
        if not self._ended.done():
            os.kill(self.pid, signal)

    def _note_end(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._noting = self._loop.create_task(self._note_code())

    async def _note_code(self) -> None:
        # The fork server tells the code a moment after the end, unless it has ended itself.
        await asyncio.to_thread(self._process.join, _CODE_WITHIN_S)
        self._ended.set_result(self._process.exitcode if self._process.exitcode is not None else -1)


def run_forked(module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """In the fork: become what `python -m module` would be, in a session of its own."""
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Straight to the log, so that the last words of a killed process are there to read.
            stream.reconfigure(line_buffering=True)
    # A name in lists of processes, where the command line is the fork server's.
    Path("/proc/self/comm").write_text(log.stem[:_COMM_LENGTH])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
