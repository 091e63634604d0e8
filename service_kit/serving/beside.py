"""Work that goes on beside the requests of a web process, for as long as it serves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 1.0


@asynccontextmanager
async def beside(
    name: str, work: Callable[[], Coroutine[Any, Any, None]], *, again_after_s: float = AGAIN_AFTER_S
) -> AsyncIterator[None]:
    """Do the work meanwhile, and end it with the context. It may come to an end of its own before.

    When it fails, that is told and it begins anew: requests are served without it, so that it is no reason
    to take the process down, and nobody would miss it in silence.
    """
    task = asyncio.create_task(_until_done(name, work, again_after_s))
    try:
        yield
    finally:
        await _end(task)


async def _until_done(name: str, work: Callable[[], Coroutine[Any, Any, None]], again_after_s: float) -> None:
    while True:
        # A task of its own: a cancellation that a library does not take back ends that one alone.
        attempt = asyncio.create_task(work())
        try:
            await asyncio.wait({attempt})
        finally:
            await _end(attempt)
        error = asyncio.CancelledError() if attempt.cancelled() else attempt.exception()
        if error is None:
            return
        log.error("work_beside_failed", work=name, exc_info=error)
        await asyncio.sleep(again_after_s)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
