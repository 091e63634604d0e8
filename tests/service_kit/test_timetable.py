"""The ticks of a worker, where the system's clock does not go on as it should."""

import asyncio
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from service_kit.streaming import heed_jumps
from tests.support.running import in_background


async def test_a_clock_that_is_set_back_does_not_stop_the_timetable() -> None:
    """The next tick was meant for a moment that is now an hour away."""
    ticked = asyncio.Event()
    told = iter([3600.0])
    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(
        ticked.set,
        IntervalTrigger(seconds=1, timezone="UTC"),
        next_run_time=datetime.now(UTC) + timedelta(hours=1),
    )
    scheduler.start()
    try:
        async with in_background(heed_jumps(scheduler, lambda: next(told, 0.0))), asyncio.timeout(10):
            await ticked.wait()
    finally:
        scheduler.shutdown(wait=False)
