"""The relay of one process: takes slots, reads on, sends, moves the cursors, starts over on trouble."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from service_kit.broker import Cluster
from service_kit.database import LINE_TROUBLE, own_connection
from service_kit.outbox import CHANNEL
from service_kit.relay.reading import SettledReader, Stretch
from service_kit.relay.sending import Sender
from service_kit.relay.slots import RENEW_S, SLOT_OF_KEY, Slot, SlotLost, Slots
from service_kit.settings import ServiceSettings
from service_kit.telemetry import OUTBOX_AGE, OUTBOX_BACKLOG, RELAY_SLOTS

log = structlog.get_logger(__name__)

BATCH = 1000
SLOW_POLL_S = 1.0
"""The net under a lost wake-up."""
GAP_POLL_S = 0.005
CLUSTER_CHECK_S = 1.0
MEASURE_S = 1.0
COUNTED_MOST = 50_000
"""Rows behind a cursor that are counted slot by slot; of a longer backlog this is the beginning."""
LONGEST_DELAY_S = 5.0

READING = {
    # Planning anew, over all days of the outbox, would cost three times what the answer does. A plan that is
    # kept must be right for an empty outbox as for a long one: along the ids.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
}
KEEPING = {
    # A server that dies may forget where the cursor was a moment ago: what was sent since is sent again, and
    # each inbox knows it. Nobody waits for the disk meanwhile.
    "synchronous_commit": "off",
}
"""Settings of the two connections of a relay."""

MEASURED = f"""
select slot, count(*) as backlog, min(recorded_at) as oldest from (
    select {SLOT_OF_KEY} as slot, recorded_at from outbox
    where id > $1 and {SLOT_OF_KEY} = any($2::int[]) order by id limit $3
) as waiting group by slot
"""  # noqa: S608  the slot is a constant expression

NOBODY_SENDS = f"""
select slot, count(*) as backlog, min(recorded_at) as oldest from (
    select s.slot, o.recorded_at from outbox o join relay_slots s on s.slot = {SLOT_OF_KEY}
    where o.id > s.position and o.id > (select min(position) from relay_slots)
      and (s.owner is null or s.leased_until < clock_timestamp())
    order by o.id limit $1
) as waiting group by slot
"""  # noqa: S608  the slot is a constant expression


class Relay:
    """`run` sends for ever; it ends only by cancellation, and starts over after any trouble."""

    def __init__(self, settings: ServiceSettings, topics: Iterable[str]) -> None:
        self.settings = settings
        self._topics = sorted(set(topics))
        self._bell = asyncio.Event()
        self.slots: frozenset[int] = frozenset()
        """The shares of the keys that this process sends at the moment."""
        self.backlog_since: datetime | None = None
        """When the oldest row of ours not yet sent was recorded; None when there is none."""

        self.standing_since_s: float | None = None
        """Since when that has been the same row, by a clock that does not jump (`time.monotonic`)."""

    @property
    def owner(self) -> bool:
        return bool(self.slots)

    async def run(self) -> None:
        delay_s = 0.1
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._own_and_send()
            except SlotLost as error:
                log.warning("relay_slot_lost", detail=str(error))
            except (KafkaError, *LINE_TROUBLE) as error:
                log.warning("relay_interrupted", error=type(error).__name__, detail=str(error)[:300])
            finally:
                self.slots = frozenset()
                RELAY_SLOTS.set(0)
            await self._measure_what_nobody_sends()
            # How long that has waited is no fault of the next turn, by which the watch over progress goes.
            self.backlog_since = self.standing_since_s = None
            if asyncio.get_running_loop().time() - started > LONGEST_DELAY_S * 2:
                delay_s = 0.1
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    async def _own_and_send(self) -> None:
        url, name = self.settings.database_url.get_secret_value(), f"{self.settings.name}-relay"
        async with (
            own_connection(url, application_name=name, **READING) as reading,
            own_connection(url, application_name=name, **KEEPING) as keeping,
        ):
            await reading.add_listener(CHANNEL, self._ring)
            cluster, sender = Cluster(self.settings), Sender(self.settings)
            try:
                await cluster.start()
                await cluster.declare(self._topics)
                await sender.start()
                await _Turn(self, reading, keeping, cluster, sender, self._bell).run()
            finally:
                await sender.close_at_once()
                await cluster.stop()

    def _ring(self, *_: Any) -> None:
        self._bell.set()

    async def _measure_what_nobody_sends(self) -> None:
        """Without the broker no slot has an owner who could tell that facts wait for it."""
        url, name = self.settings.database_url.get_secret_value(), f"{self.settings.name}-relay"
        with contextlib.suppress(*LINE_TROUBLE):
            async with own_connection(url, application_name=name, **READING) as connection:
                rows = await connection.fetch(NOBODY_SENDS, COUNTED_MOST)
            self.tell_backlog([row["slot"] for row in rows], rows)

    def tell_backlog(self, slots: Iterable[int], rows: Sequence[asyncpg.Record]) -> None:
        by_slot = {row["slot"]: row for row in rows}
        OUTBOX_BACKLOG.clear()
        for number in slots:
            OUTBOX_BACKLOG.labels(number).set(by_slot[number]["backlog"] if number in by_slot else 0)
        oldest = min((row["oldest"] for row in rows), default=None)
        if oldest is None or oldest != self.backlog_since:
            self.standing_since_s = None if oldest is None else time.monotonic()
        self.backlog_since = oldest
        OUTBOX_AGE.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)


@dataclass(frozen=True)
class _Ahead:
    """A stretch that is being read before it is needed."""

    position: int
    slots: frozenset[int]
    reading: asyncio.Future[Stretch]


class _Turn:
    """One turn of sending, from the first lease to the first trouble."""

    def __init__(
        self,
        relay: Relay,
        reading: asyncpg.Connection,
        keeping: asyncpg.Connection,
        cluster: Cluster,
        sender: Sender,
        bell: asyncio.Event,
    ) -> None:
        self._relay = relay
        self._reading = reading
        self._keeping = keeping
        self._cluster = cluster
        self._sender = sender
        self._bell = bell
        self._reader = SettledReader(reading)
        # Leases are renewed while a batch waits for the broker; one connection takes one statement at a time.
        self._one_at_a_time = asyncio.Lock()
        self._ahead: _Ahead | None = None
        self._cluster_checked_at = 0.0
        self._measured_at = 0.0

    async def run(self) -> None:
        self._slots = Slots(await self._cluster.id())
        await self._keep()
        log.info("relay_started", slots=sorted(self._slots.mine))
        # Whichever ends first takes the other with it.
        renewing = asyncio.ensure_future(self._renew())
        sending = asyncio.ensure_future(self._send_on())
        try:
            await asyncio.wait({renewing, sending}, return_when=asyncio.FIRST_COMPLETED)
            for task in (renewing, sending):
                if task.done():
                    task.result()
        finally:
            for task in (renewing, sending):
                task.cancel()
            await asyncio.gather(renewing, sending, return_exceptions=True)
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._slots.give_back(self._keeping)

    async def _keep(self) -> None:
        async with self._one_at_a_time:
            before = set(self._slots.mine)
            await self._slots.keep(self._keeping)
        self._tell()
        if set(self._slots.mine) - before:
            # A slot that was taken may have rows that nobody rings for any more.
            self._bell.set()

    async def _give_back_surplus(self) -> None:
        """Between two batches, so that the next owner sends nothing twice."""
        async with self._one_at_a_time:
            await self._slots.give_back_surplus(self._keeping)
        self._tell()

    def _tell(self) -> None:
        self._relay.slots = frozenset(self._slots.mine)
        RELAY_SLOTS.set(len(self._relay.slots))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._keep()

    async def _send_on(self) -> None:
        try:
            while True:
                self._bell.clear()
                await self._check_cluster()
                if self._slots.surplus:
                    await self._give_back_surplus()
                held = dict(self._slots.held())
                if held:
                    await self._send_stretch(held)
                else:
                    await self._pause(SLOW_POLL_S)
        finally:
            await self._forget_ahead()

    async def _send_stretch(self, held: Mapping[int, Slot]) -> None:
        """Send the next rows of these slots; wait where no more are to be had at the moment."""
        position = min(slot.position for slot in held.values())
        found = await self._read(position, held)
        gap = self._reader.waits_at_gap
        if found.full and not gap:
            # The next rows are read while these are sent.
            reading = asyncio.ensure_future(self._reader.read(found.upto, list(held), BATCH))
            self._ahead = _Ahead(found.upto, frozenset(held), reading)
        if found.upto > position:
            await self._send(found, held)
        if not found.full and not gap:
            # That was all of it, and whatever is committed after the read rings the bell.
            self._relay.tell_backlog(held, [])
            await self._pause(SLOW_POLL_S)
            await asyncio.sleep(self._relay.settings.relay_linger_s)
            return
        await self._measure(found.upto, held)
        if found.upto == position:
            await self._pause(GAP_POLL_S)

    async def _read(self, position: int, held: Mapping[int, Slot]) -> Stretch:
        ahead = self._ahead
        if ahead is not None and (ahead.position, ahead.slots) == (position, frozenset(held)):
            self._ahead = None
            return await ahead.reading
        # Slots came or went meanwhile; the connection has to be free before it is asked again.
        await self._forget_ahead()
        return await self._reader.read(position, list(held), BATCH)

    async def _forget_ahead(self) -> None:
        if self._ahead is not None:
            await asyncio.gather(self._ahead.reading, return_exceptions=True)
            self._ahead = None

    async def _send(self, found: Stretch, held: Mapping[int, Slot]) -> None:
        # A slot that was taken over lately may be behind the others; what it has sent is not sent again.
        rows = [row for row in found.rows if row["id"] > held[row["slot"]].position]
        if rows:
            if not self._slots.held():
                raise SlotLost("the lease ran out before the batch was sent")
            await self._sender.send(rows)
        async with self._one_at_a_time:
            await self._slots.moved(self._keeping, held, found.upto)

    async def _pause(self, longest_s: float) -> None:
        try:
            # Not by `wait_for`, for the reason that `broker` gives: a relay would go on after its end.
            async with asyncio.timeout(longest_s):
                await self._bell.wait()
        except TimeoutError:
            if self._reading.is_closed():
                raise ConnectionError("the relay's connection is closed") from None

    async def _check_cluster(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._cluster_checked_at < CLUSTER_CHECK_S:
            return
        if await self._cluster.id() != self._slots.cluster_id:
            raise ConnectionError("the broker is another cluster than before")
        self._cluster_checked_at = now

    async def _measure(self, position: int, held: Mapping[int, Slot]) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured_at < MEASURE_S:
            return
        self._measured_at = now
        async with self._one_at_a_time:
            rows = await self._keeping.fetch(MEASURED, position, list(held), COUNTED_MOST)
        self._relay.tell_backlog(held, rows)
