"""Programs started by forking behave as programs started anew."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from local_stack.engines.program import Program
from local_stack.launching import CAN_FORK, Running, launch
from tests.support.running import eventually

MODULE = "tests.support.waiting_program"


@asynccontextmanager
async def running(log: Path, *, module: str | None) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", MODULE, "one", "two"]
    process = await launch(Program(command, module=module, environment={"TOLD": "a secret"}), log)

    async def has_spoken() -> bool:
        return log.exists() and "loaded" in log.read_text()

    await eventually(has_spoken)
    yield process
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
        await process.wait()


forked_or_not = pytest.mark.parametrize(
    "module",
    [
        pytest.param(MODULE, id="forked", marks=pytest.mark.skipif(not CAN_FORK, reason="only on Linux")),
        pytest.param(None, id="anew"),
    ],
)


@forked_or_not
async def test_a_program_is_told_what_it_needs(tmp_path: Path, module: str | None) -> None:
    """Arguments and environment arrive; a fork has the shared libraries loaded."""
    log = tmp_path / "program.log"
    async with running(log, module=module):
        assert "told a secret one two" in log.read_text()
        assert f"loaded {module is not None}" in log.read_text()


@forked_or_not
async def test_a_program_ends_when_asked(tmp_path: Path, module: str | None) -> None:
    """It hears the signal, its last words are in the log, and its end and its code are told."""
    log = tmp_path / "program.log"
    async with running(log, module=module) as process:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 3
        assert process.returncode == 3
        assert log.read_text().endswith("ending\n")


@forked_or_not
async def test_a_program_has_a_session_of_its_own(tmp_path: Path, module: str | None) -> None:
    """Signals of the terminal reach only the supervisor."""
    async with running(tmp_path / "program.log", module=module) as process:
        assert os.getsid(process.pid) == process.pid


@pytest.mark.skipif(not CAN_FORK, reason="only on Linux")
async def test_the_end_of_the_fork_server_ends_no_program(tmp_path: Path) -> None:
    """Programs run on, their own end is still seen, and the next program gets a new fork server."""
    async with running(tmp_path / "first.log", module=MODULE) as first:
        server = psutil.Process(first.pid).parent()
        assert server is not None
        assert server.pid == forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        server.kill()
        async with running(tmp_path / "second.log", module=MODULE) as second:
            assert psutil.Process(second.pid).ppid() != server.pid
            assert first.returncode is None
            first.send_signal(signal.SIGTERM)
            await asyncio.wait_for(first.wait(), 20)
            assert (tmp_path / "first.log").read_text().endswith("ending\n")
