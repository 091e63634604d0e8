"""A kept process is started again when it ends, and when it lives but does nothing."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from local_stack.engines.program import Program
from local_stack.keeping import Kept
from local_stack.ports import LOOPBACK
from local_stack.probes import health_url
from local_stack.troubles import Trouble
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


async def test_what_does_not_get_ready_says_why(tmp_path: Path) -> None:
    """The reasons of its own health page stand in the sentence that `up` ends with."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"reasons": ["the registry does not know a.b.v1 yet"]}'
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def no() -> bool:
        return False

    async with await asyncio.start_server(answer, LOOPBACK, 0) as server:
        url = health_url(server.sockets[0].getsockname()[1])
        kept = Kept("program", PROGRAM, no, logs=tmp_path, changed=lambda: None, health_url=url)
        with pytest.raises(Trouble, match=r"not ready within 0 s: the registry does not know a\.b\.v1 yet"):
            await kept.start(within_s=0.05)
        await kept.stop()
