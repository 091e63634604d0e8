"""Composition of the worker process: relay, consumer, and the ticks that deal out and import tasks."""

import asyncio
from random import Random
from uuid import UUID

import structlog

from service_kit.settings import ServiceSettings
from service_kit.streaming import Every, WorkerContext, run_worker
from tracker import commands, domain
from tracker.consumers import router
from tracker.events import SAYS
from tracker.settings import TrackerSettings

log = structlog.get_logger(__name__)


def work(settings: ServiceSettings, *, metrics_port: int, host: str) -> None:
    """Run until told to stop."""
    assert isinstance(settings, TrackerSettings)  # noqa: S101  narrows the type for mypy
    dice = domain.fair_dice()

    async def distribute(context: WorkerContext) -> None:
        await _distribute(context, settings, dice)

    async def import_tasks(context: WorkerContext) -> None:
        async def tell(import_id: UUID, rows_done: int) -> None:
            async with context.database.transaction() as beside:
                await commands.note_progress(beside, import_id, rows_done)

        while True:
            try:
                async with context.database.transaction() as session:
                    done = await commands.create_imported_tasks(session, random=dice, tell=tell)
            except domain.NobodyToAssign:
                async with context.database.transaction() as session:
                    await commands.fail_import(session)
                log.warning("import_failed", reason="nobody_to_assign")
                continue
            if done is None:
                return
            log.info("import_done", import_id=str(done))

    timetable = [
        Every(settings.distribution_poll_s, distribute, commands.DISTRIBUTIONS_CHANNEL),
        Every(settings.distribution_poll_s, import_tasks, commands.IMPORTS_CHANNEL),
    ]
    run_worker(settings, metrics_port=metrics_port, host=host, says=SAYS, router=router, timetable=timetable)


async def _distribute(context: WorkerContext, settings: TrackerSettings, dice: Random) -> None:
    """Deal out what is to be dealt, with several hands: while one part is being written, the next is too."""

    async def deal() -> None:
        dealt: int | None = 0
        while dealt is not None:
            async with context.database.transaction() as session:
                dealt = await commands.deal_distribution_part(session, random=dice)

    async with context.database.transaction() as session:
        run = await commands.cut_distribution(session, size=settings.distribution_chunk)
    if run is None:
        return
    async with asyncio.TaskGroup() as hands:
        for _ in range(settings.distribution_hands):
            hands.create_task(deal())
    async with context.database.transaction() as session:
        done = await commands.finish_distribution(session)
    if done is not None:
        log.info("distribution_done", distribution_id=str(done.id), tasks_assigned=done.tasks_assigned)
