"""The worker process: a Faust app that hosts the relay, the batch consumer and the timetable as its services.

Business events never pass through Faust's own agents, which acknowledge what failed (see decision 0003). The
one agent here answers probes: a lost probe costs nothing, and its way there and back measures the broker.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import faust
import structlog
import uvicorn
import uvloop
from aiokafka.errors import KafkaError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service_kit import telemetry
from service_kit.broker import declare_topics
from service_kit.clock import Clock, SystemClock
from service_kit.consumer import BatchConsumer
from service_kit.consuming import EventRouter
from service_kit.context import Context
from service_kit.database import LINE_TROUBLE, Database, own_connection
from service_kit.dead_letters import dead_letter_topic, redrive_topic
from service_kit.dead_letters.acting import REDRIVES_CHANNEL
from service_kit.dead_letters.sending import LOOK_S, TICK_S, send_due_letters
from service_kit.ending import when_told_to_end
from service_kit.events import Event
from service_kit.ids import new_id
from service_kit.listening import listen
from service_kit.relay import Relay
from service_kit.relay.keeping import KEEP_S, keep_outbox
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)

PROBE_S = 10.0
ORDERLY_END_S = 20.0
JUMP_NOTICED_S = 1.0
STUCK_S = 120.0
"""Without progress for so long the process ends itself, and is started again."""


@dataclass
class WorkerContext:
    """What the entries of the timetable work with."""

    settings: ServiceSettings
    clock: Clock
    schemas: SchemaClient
    database: Database
    topics_said: Sequence[str] = ()
    consumer: BatchConsumer | None = None

    def lag(self) -> int | None:
        """Events heard but not yet handled; 0 for a worker that hears none, None while unknown."""
        return 0 if self.consumer is None else self.consumer.lag()

    async def group_lag(self) -> int | None:
        """The same for all workers of the service together, asked of the broker."""
        return 0 if self.consumer is None else await self.consumer.group_lag()


@dataclass(frozen=True)
class Every:
    """An entry of the timetable: run `work` each `seconds`, and at once when `wake_on` is notified.

    A run is only a tick: the work asks the database what is due, so late, doubled and missed ticks do no
    harm.
    """

    seconds: float
    work: Callable[[WorkerContext], Awaitable[None]]
    wake_on: str | None = None

    @property
    def name(self) -> str:
        return getattr(self.work, "__name__", type(self.work).__name__)


@dataclass
class _Worker:
    settings: ServiceSettings
    router: EventRouter
    says: Sequence[type[Event]]
    timetable: Sequence[Every]
    host: str
    metrics_port: int
    context: WorkerContext = field(init=False)
    relay: Relay = field(init=False)
    failed: bool = False
    """One of the hosted services ended by itself: the exit code says so."""

    def __post_init__(self) -> None:
        clock = SystemClock.of(self.settings)
        schemas = SchemaClient.configured(self.settings)
        context = Context(self.settings, clock, schemas)
        database = Database(
            self.settings.database_url.get_secret_value(),
            pool_size=8,
            context=context,
            name=f"{self.settings.name}-worker",
        )
        self.context = WorkerContext(self.settings, clock, schemas, database, sorted(self.topics_said))
        if self.topics_said:
            self.timetable = [*self.timetable, Every(KEEP_S, _keep_outbox)]
        # Probes as well: a broker that was set up anew has no topic for them.
        self.relay = Relay(self.settings, self.topics_said | {self.probe_topic})
        if self.router.topics:
            self.router.also_read(redrive_topic(self.settings.name))
            self.timetable = [*self.timetable, Every(LOOK_S, _send_dead_letters, REDRIVES_CHANNEL)]
            instance = f"{self.settings.name}-{os.environ.get('ATES_INSTANCE', '0')}"
            self.context.consumer = BatchConsumer(
                self.settings, database, schemas, self.router, instance=instance
            )

    @property
    def topics_said(self) -> set[str]:
        said = {event.topic for event in self.says}
        if not self.router.topics:
            return said
        return said | {dead_letter_topic(self.settings.name), redrive_topic(self.settings.name)}

    @property
    def probe_topic(self) -> str:
        return f"{self.settings.name}.probes"

    def why_not_ready(self) -> list[str]:
        reasons = []
        if self.context.schemas.missing:
            reasons.append(f"schemas not registered: {', '.join(sorted(self.context.schemas.missing))}")
        consumer = self.context.consumer
        if consumer is not None:
            if consumer.stopped_because:
                reasons.append(f"consumer stopped: {consumer.stopped_because}")
            elif consumer.lag() is None:
                reasons.append("consumer has no position yet")
        return reasons

    def seconds_without_progress(self) -> float:
        """Since the relay or the consumer last moved, whichever is longer ago; 0 when nothing waits."""
        moved_at_s = now_s = time.monotonic()
        if self.relay.owner and self.relay.standing_since_s is not None:
            moved_at_s = self.relay.standing_since_s
        consumer = self.context.consumer
        if consumer is not None and not consumer.stopped_because:
            moved_at_s = min(moved_at_s, consumer.progress_at_s)
        return now_s - moved_at_s


def run_worker(
    settings: ServiceSettings,
    *,
    metrics_port: int,
    host: str = "127.0.0.1",
    says: Sequence[type[Event]] = (),
    router: EventRouter | None = None,
    timetable: Sequence[Every] = (),
) -> None:
    """Run a service's worker process until it is told to stop. Ends with a non-zero code on trouble."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    worker = _Worker(settings, router or EventRouter(), says, timetable, host, metrics_port)
    # Faust wants the broker at its start; while there is none, wait here instead of crashing in a circle.
    topics = worker.topics_said | worker.router.topics | {worker.probe_topic}
    asyncio.run(_answering_health(worker, declare_topics(settings, topics)))
    app = _faust_app(worker)
    try:
        _FaustWorker(
            app, loglevel=settings.log_level, override_logging=False, redirect_stdouts=False, quiet=True
        ).execute_from_commandline()
    finally:
        if worker.failed:
            sys.exit(1)


class _FaustWorker(faust.Worker):
    """Signals reach the main thread alone, which passes them on where several services share a process."""

    def install_signal_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            super().install_signal_handlers()
        else:
            when_told_to_end(self._end_from_another_thread)

    def _end_from_another_thread(self) -> None:
        self.loop.call_soon_threadsafe(self._schedule_shutdown, signal.SIGTERM)


def _faust_app(worker: _Worker) -> faust.App:
    settings = worker.settings
    app = faust.App(
        f"{settings.name}-worker",
        broker=f"kafka://{settings.kafka_servers.replace(',', ';')}",
        web_enabled=False,
        store="memory://",
        # Faust makes this folder even for an app without tables.
        datadir=str(Path(tempfile.gettempdir()) / f"ates-{settings.name}-worker"),
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        consumer_auto_offset_reset="latest",
        broker_session_timeout=10.0,
        broker_heartbeat_interval=1.0,
        loop=None,
    )
    probes = app.topic(worker.probe_topic, value_type=bytes, value_serializer="raw")

    @app.agent(probes, name="probes")
    async def answer_probe(stream: Any) -> None:
        async for value in stream:
            telemetry.BROKER_ROUND_TRIP.set(max(0.0, time.time() - float(value)))

    @app.timer(PROBE_S)  # type: ignore[untyped-decorator]  # Faust ships no types
    async def send_probe() -> None:
        await probes.send(value=str(time.time()).encode())

    app.service(_hosting(worker))
    return app


def _hosting(worker: _Worker) -> type[Service]:
    """One Faust service that runs ours, and ends the process when one of them ends."""

    def end_process_on_failure(task: asyncio.Future[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("worker_failed", error=type(error).__name__, exc_info=error)
            worker.failed = True
            # Offsets and cursors are in the broker and the database: a new process goes on from there.
            os.kill(os.getpid(), signal.SIGTERM)
            # An orderly end may wait for a broker that does not answer as expected; this one does not.
            hard_end = threading.Timer(ORDERLY_END_S, os._exit, (1,))
            hard_end.daemon = True
            hard_end.start()

    class Hosting(Service):
        async def on_start(self) -> None:
            self.tasks = [
                asyncio.ensure_future(coroutine)
                for coroutine in (
                    _serve_health(worker),
                    worker.context.schemas.keep(worker.says),
                    worker.relay.run(),
                    _keep_timetable(worker),
                    _watch_progress(worker),
                )
            ]
            if worker.context.consumer is not None:
                self.tasks.append(asyncio.ensure_future(worker.context.consumer.run()))
            for task in self.tasks:
                task.add_done_callback(end_process_on_failure)

        async def on_stop(self) -> None:
            for task in self.tasks:
                task.remove_done_callback(end_process_on_failure)
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await worker.context.database.close()

    return Hosting


async def _keep_outbox(context: WorkerContext) -> None:
    await keep_outbox(context.settings, context.database, context.topics_said)


async def _send_dead_letters(context: WorkerContext) -> None:
    while await send_due_letters(context.database):  # noqa: ASYNC110  the database tells what is due
        await asyncio.sleep(TICK_S)


async def _watch_progress(worker: _Worker) -> None:
    """A worker that stands still is worse than one that ends: the supervisor starts the latter again."""
    while True:
        await asyncio.sleep(1)
        stuck_s = worker.seconds_without_progress()
        if stuck_s > STUCK_S and await _engines_answer(worker):
            raise RuntimeError(f"no progress for {stuck_s:.0f} s though database and broker answer")


async def _engines_answer(worker: _Worker) -> bool:
    try:
        async with asyncio.timeout(5):
            async with own_connection(worker.settings.database_url.get_secret_value()):
                pass
            await declare_topics(worker.settings, ())
    except (KafkaError, *LINE_TROUBLE):
        return False
    return True


async def _keep_timetable(worker: _Worker) -> None:
    """APScheduler gives the ticks; a notification of the database gives one at once."""
    scheduler = AsyncIOScheduler(timezone="UTC")
    locks = {entry.name: asyncio.Lock() for entry in worker.timetable}

    async def tick(entry: Every) -> None:
        if locks[entry.name].locked():
            return
        async with locks[entry.name]:
            telemetry.correlation_id.set(str(new_id()))
            try:
                await entry.work(worker.context)
            except Exception:
                # The next tick asks the database again what is due.
                telemetry.TICKS.labels(entry.name, "failed").inc()
                log.exception("tick_failed", entry=entry.name)
            else:
                telemetry.TICKS.labels(entry.name, "done").inc()

    for entry in worker.timetable:
        trigger = IntervalTrigger(seconds=entry.seconds, timezone="UTC")
        scheduler.add_job(
            tick,
            trigger,
            args=[entry],
            id=entry.name,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
    scheduler.start()
    heeding = asyncio.ensure_future(heed_jumps(scheduler))
    try:
        await _ring_bells(worker, {e.wake_on: e for e in worker.timetable if e.wake_on}, tick)
    finally:
        heeding.cancel()
        scheduler.shutdown(wait=False)


async def heed_jumps(scheduler: AsyncIOScheduler, wall: Callable[[], float] = time.time) -> None:
    """Tick at once when the system's clock was set back, as the scheduler waits for moments of that clock.

    It would stand still until the clock comes there again. A clock that is set forward makes it tick anyway.
    """
    ahead_s = wall() - time.monotonic()
    while True:
        await asyncio.sleep(JUMP_NOTICED_S)
        before_s, ahead_s = ahead_s, wall() - time.monotonic()
        if ahead_s < before_s - JUMP_NOTICED_S:
            log.warning("clock_set_back", by_s=round(before_s - ahead_s, 1))
            for job in scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))


async def _ring_bells(
    worker: _Worker, bells: dict[str, Every], tick: Callable[[Every], Awaitable[None]]
) -> None:
    """Turn notifications into ticks."""
    running: set[asyncio.Future[None]] = set()

    def ring(entry: Every) -> None:
        task = asyncio.ensure_future(tick(entry))
        running.add(task)
        task.add_done_callback(running.discard)

    if bells:
        heard = {channel: partial(ring, entry) for channel, entry in bells.items()}
        await listen(worker.context.database, heard)
    else:
        await asyncio.Event().wait()


def _health_app(worker: _Worker, *, waiting_for_broker: bool) -> Starlette:
    async def live(_: Request) -> Response:
        return JSONResponse({"seconds_without_progress": round(worker.seconds_without_progress(), 3)})

    async def ready(_: Request) -> Response:
        reasons = ["broker does not answer"] if waiting_for_broker else worker.why_not_ready()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def progress(_: Request) -> Response:
        since = worker.relay.backlog_since
        body = {"lag": worker.context.lag(), "unsent_since": since.isoformat() if since else None}
        return JSONResponse(body)

    routes = [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/health/progress", progress),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=routes)


async def _serve_health(worker: _Worker, *, waiting_for_broker: bool = False) -> None:
    config = uvicorn.Config(
        _health_app(worker, waiting_for_broker=waiting_for_broker),
        host=worker.host,
        port=worker.metrics_port,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    # The signals belong to the worker, not to its health page.
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    try:
        await server.serve()
    except asyncio.CancelledError:
        server.should_exit = True
        await server.shutdown()
        raise


async def _answering_health(worker: _Worker, work: Awaitable[None]) -> None:
    """Do the work while health is answered with "not ready"."""
    health = asyncio.ensure_future(_serve_health(worker, waiting_for_broker=True))
    try:
        await work
    finally:
        health.cancel()
        await asyncio.gather(health, return_exceptions=True)
