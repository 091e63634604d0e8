"""What `./ates bench` leaves behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from local_stack.home import ROOT
from tests.support.running import eventually

pytestmark = pytest.mark.slow


def processes_about(folder: Path) -> list[str]:
    """Command lines that name the folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended meanwhile
            continue
        if str(folder) in line:
            found.append(line)
    return found


async def both_engines_run(folder: Path) -> bool:
    lines = processes_about(folder)
    return all(any(engine in line for line in lines) for engine in ("postgres", "kafka"))


async def test_a_benchmark_that_is_killed_politely_stops_its_engines(tmp_path: Path) -> None:
    benchmark = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local_stack", "bench", "close"),
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    await eventually(lambda: both_engines_run(tmp_path), within_s=60)
    benchmark.send_signal(signal.SIGTERM)
    assert await benchmark.wait() != 0
    assert processes_about(tmp_path) == []
    assert list(tmp_path.glob("ates-bench-*")) == []
