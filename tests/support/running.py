"""Parts of a worker run inside a test: relay and consumer as tasks, conditions waited for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def in_background(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run them while the block runs; a failure of one of them fails the block at its end."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(
    condition: Callable[[], Awaitable[Any]], within_s: float = 30, every_s: float = 0.02
) -> Any:
    """The first true value of `condition`, asked for each `every_s`; fails when none comes in time."""
    async with asyncio.timeout(within_s):
        while not (value := await condition()):
            await asyncio.sleep(every_s)
        return value
