"""A kept process is started again when it ends, and when it lives but does nothing."""

import sys
from pathlib import Path

import psutil

from local_stack.engines.program import Program
from local_stack.keeping import Kept
from tests.support.running import eventually

PROGRAM = Program([sys.executable, "-m", "tests.support.waiting_program"], environment={"TOLD": "nothing"})


async def yes() -> bool:
    return True


async def test_a_process_that_is_killed_is_started_again(tmp_path: Path) -> None:
    """It comes back under another number, and the count of restarts says so."""
    kept = Kept("program", PROGRAM, yes, logs=tmp_path, changed=lambda: None)
    await kept.start()
    first = kept.state.pid
    assert first is not None
    psutil.Process(first).kill()

    async def is_back() -> bool:
        return kept.state.restarts == 1 and kept.state.pid not in {None, first}

    await eventually(is_back)
    await kept.stop()


async def test_a_process_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    """It lives, but does not answer any more: after some looks in a row it is killed."""
    answering = True

    async def answers() -> bool:
        return answering

    kept = Kept(
        "program", PROGRAM, yes, logs=tmp_path, changed=lambda: None, alive=answers, look_every_s=0.05
    )
    await kept.start()
    first = kept.state.pid
    answering = False

    async def was_ended() -> bool:
        return kept.state.restarts == 1

    await eventually(was_ended)
    answering = True
    assert first is not None
    assert not psutil.pid_exists(first)
    await kept.stop()
