"""Composition of the worker process: relay, consumer, and the ticks that deal out and import tasks."""

from uuid import UUID

import structlog

from service_kit.settings import ServiceSettings
from service_kit.streaming import Every, WorkerContext, run_worker
from tracker import commands, domain
from tracker.consumers import router
from tracker.events import SAYS
from tracker.settings import TrackerSettings

log = structlog.get_logger()


def work(settings: ServiceSettings, *, metrics_port: int, host: str) -> None:
    """Run until told to stop."""
    assert isinstance(settings, TrackerSettings)  # noqa: S101  narrows the type for mypy
    chunk = settings.distribution_chunk
    dice = domain.fair_dice()

    async def distribute(context: WorkerContext) -> None:
        while True:
            async with context.database.transaction() as session:
                run = await commands.run_distribution_chunk(session, random=dice, size=chunk)
            if run is None:
                return
            if run.finished_at is not None:
                log.info("distribution_done", distribution_id=str(run.id), tasks_assigned=run.tasks_assigned)

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
