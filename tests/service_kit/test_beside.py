"""Work beside the requests of a web process comes back, whatever ends it."""

import asyncio
from collections.abc import Callable

import pytest

from service_kit.serving.beside import beside


class Work:
    """Fails with each of the given ways of failing in turn, then goes on for ever or is done."""

    def __init__(self, *failing: Callable[[], None], done: bool = False) -> None:
        self._failing = list(failing)
        self._done = done
        self.runs = 0
        self.under_way = asyncio.Event()
        self.ended = False

    async def __call__(self) -> None:
        self.runs += 1
        if self._failing:
            self._failing.pop(0)()
            await asyncio.sleep(0)
        self.under_way.set()
        if self._done:
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


def breaks() -> None:
    raise RuntimeError("unforeseen")


def is_cancelled_by_itself() -> None:
    """As a library does that cancels the task it runs in and forgets to take that back."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


@pytest.mark.parametrize("failing", [breaks, is_cancelled_by_itself])
async def test_it_begins_anew_after_a_failure(failing: Callable[[], None]) -> None:
    work = Work(failing, failing)
    async with beside("trial", work, again_after_s=0):
        await work.under_way.wait()
    assert work.runs == 3


async def test_it_ends_with_its_surroundings() -> None:
    work = Work()
    async with beside("trial", work):
        await work.under_way.wait()
    assert work.ended


async def test_what_is_done_is_not_done_again() -> None:
    work = Work(done=True)
    async with beside("trial", work, again_after_s=0):
        await work.under_way.wait()
        for _ in range(10):
            await asyncio.sleep(0)
    assert work.runs == 1
