"""Composition of the worker process: consumer of tasks and accounts, and the tick that closes days."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import structlog

from billing import commands, queries
from billing.consumers import router
from billing.domain import may_close
from billing.events import SAYS
from billing.settings import BillingSettings
from service_kit.database import Database
from service_kit.letters import Post, hand_over_all, post_of
from service_kit.streaming import Every, WorkerContext, run_worker
from service_kit.text import add_catalogues

log = structlog.get_logger(__name__)

SEAL_AT_MOST_EVERY_S = 5.0
"""Seals are for whoever checks the ledger later; nobody waits for them."""

LOOK_AGAIN_S = 5.0
"""How long a tick trusts that nothing is due on the dates at which nothing was."""


@dataclass
class DayKeeper:
    """Closes what is due once everything said so far is posted, or the wait for it has lasted too long.

    Waiting is measured by the process's own clock: business time may jump over a night in an instant.
    """

    settings: BillingSettings
    stop_watch: Callable[[], float] = time.monotonic
    post: Post = field(init=False)
    due_since_s: float | None = field(default=None, init=False)
    opened: date | None = field(default=None, init=False)
    rests_on: tuple[date, date] | None = field(default=None, init=False)
    """The dates at which nothing was due; a day falls due when one of them changes."""
    rests_until_s: float = field(default=0, init=False)

    def __post_init__(self) -> None:
        own = self.settings
        self.post = post_of(own.smtp_url, own.letters_folder, at_once=own.letters_at_once)

    async def close_days(self, context: WorkerContext) -> None:
        dates = self._dates(context)
        if dates == self.rests_on and self.stop_watch() < self.rests_until_s:
            return
        await self._open_today(context)
        # What a process that is gone has left half done is done first.
        await settle(context.database)
        await self._close_due(context)
        unsaid = True
        while unsaid:
            async with context.database.transaction() as session:
                unsaid = await commands.say_closed_days(session)
        if self.due_since_s is None:
            self.rests_on, self.rests_until_s = dates, self.stop_watch() + LOOK_AGAIN_S

    def _dates(self, context: WorkerContext) -> tuple[date, date]:
        """Today, and the last day that may not be closed yet."""
        zone, now = self.settings.zone, context.clock.now()
        return context.clock.today(zone), (now - self.settings.close_delay).astimezone(zone).date()

    async def _close_due(self, context: WorkerContext) -> None:
        async with context.database.reading() as session:
            day = await queries.next_due_day(session)
        if day is None:
            self.due_since_s = None
            return
        now_s = self.stop_watch()
        if self.due_since_s is None:
            self.due_since_s = now_s
        waited_s = now_s - self.due_since_s
        # Of all workers: the other ones may have facts of this day in hand.
        lag = await context.group_lag()
        if waited_s < self.settings.close_quiet_s or not may_close(
            # A consumer without a position may be behind by anything.
            lag=1 if lag is None else lag,
            waited_s=waited_s,
            max_wait_s=self.settings.close_wait_s,
        ):
            log.info("day_waits", business_date=str(day), unread=lag, waited_s=round(waited_s, 1))
            return
        while await close_next(context.database, unread=lag or 0):
            pass
        self.due_since_s = None

    async def _open_today(self, context: WorkerContext) -> None:
        today = context.clock.today(self.settings.zone)
        if today != self.opened:
            async with context.database.transaction() as session:
                await commands.open_day(session, today)
            self.opened = today

    async def send_letters(self, context: WorkerContext) -> None:
        async def a_few() -> int:
            async with context.database.transaction() as session:
                return await commands.send_letters(session, self.post)

        if handled := await hand_over_all(self.post, a_few):
            log.info("letters_handed_over", count=handled)

    @staticmethod
    async def seal(context: WorkerContext) -> None:
        sealed = 1
        while sealed:
            async with context.database.transaction() as session:
                sealed = await commands.seal_entries(session)


async def close_next(database: Database, *, unread: int = 0) -> list[date]:
    """Close the next days that are due, from the cut to their figures; answers which."""
    async with database.transaction() as session:
        closed = await commands.close_due_days(session, unread=unread)
    await settle(database)
    return closed


async def settle(database: Database) -> None:
    """Settle the day that was cut off, each part in a transaction of its own."""
    more = True
    while more:
        async with database.transaction() as session:
            more = await commands.settle_accounts(session)


def work(settings: BillingSettings, *, metrics_port: int, host: str) -> None:
    """Run until told to stop."""
    # Letters speak the languages of the pages.
    add_catalogues("billing")
    keeper = DayKeeper(settings)
    timetable = [
        Every(settings.tick_s, keeper.close_days),
        Every(LOOK_AGAIN_S, keeper.send_letters, commands.LETTERS_CHANNEL),
        Every(max(settings.tick_s, SEAL_AT_MOST_EVERY_S), keeper.seal),
    ]
    run_worker(settings, metrics_port=metrics_port, host=host, says=SAYS, router=router, timetable=timetable)
