"""Who sends which share of the keys: leases in the database, each with a number that grows with its owner.

The number is the fence. A process that was paused, cut off or slow finds that its slots have a higher number
when it comes back: its cursor does not move any more, and it sends nothing further. What it had under way is
sent by its successor too, before anything newer, so that the first delivery of the facts of a key never comes
in another order; the late copy is a duplicate, which the inbox of each consumer silences.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import BigInteger, Column, DateTime, SmallInteger, Table, Text, Uuid, text

from service_kit.database import kit_metadata
from service_kit.ids import new_id

log = structlog.get_logger(__name__)

SLOTS = 8
SLOT_OF_KEY = f"(hashtext(key) & {SLOTS - 1})"
"""In SQL, over a row of the outbox. `SLOTS` is a power of two."""

LEASE_S = 4.0
RENEW_S = 1.0
MARGIN_S = 0.5
"""So long before its end a lease is not trusted any more: clocks of two machines run a little differently."""

relay_slots = Table(
    "relay_slots",
    kit_metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, comment="the broker has all of this slot up to this id"),
    Column("cluster_id", Text, comment="of the broker that has them; another id means: send again"),
    Column("fence", BigInteger, nullable=False, server_default="0", comment="grows with each new owner"),
    Column("owner", Uuid),
    Column("leased_until", DateTime(timezone=True)),
    Column("moved_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)

relay_owners = Table(
    "relay_owners",
    kit_metadata,
    Column("owner", Uuid, primary_key=True),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("backend", BigInteger, nullable=False, comment="process of its session in the database"),
    Column("backend_start", DateTime(timezone=True), nullable=False),
)

SEEN = """
insert into relay_owners (owner, seen_at, backend, backend_start)
select $1, clock_timestamp(), pid, backend_start from pg_stat_activity where pid = pg_backend_pid()
on conflict (owner) do update
set seen_at = excluded.seen_at, backend = excluded.backend, backend_start = excluded.backend_start
"""
# A process that was killed leaves no session behind, so that nobody has to wait for the end of its lease.
# What lies further ahead than a lease does was written before the server's clock was set back.
GONE = """
delete from relay_owners where owner in (
    select owner from relay_owners o
    where o.owner <> $2
      and (o.seen_at not between clock_timestamp() - make_interval(secs => $1)
                             and clock_timestamp() + make_interval(secs => $1)
           or not exists (
               select from pg_stat_activity a where a.pid = o.backend and a.backend_start = o.backend_start))
    for update skip locked)
"""
RENEWED = """
update relay_slots set leased_until = clock_timestamp() + make_interval(secs => $2)
where owner = $1 and (slot, fence) in (select * from unnest($3::smallint[], $4::bigint[]))
returning slot
"""
TAKEN = """
update relay_slots s
set owner = $1, fence = s.fence + 1, leased_until = clock_timestamp() + make_interval(secs => $2)
where s.slot in (
    select slot from relay_slots
    where owner is null or owner not in (select owner from relay_owners)
       or leased_until < clock_timestamp()
       or leased_until > clock_timestamp() + make_interval(secs => 2 * $2::float)
    order by slot limit $3 for update skip locked)
returning slot, fence, position, cluster_id
"""
GIVEN_BACK = """
update relay_slots set owner = null, leased_until = null
where owner = $1 and slot = any($2::smallint[])
"""
MOVED = """
update relay_slots s set position = greatest(s.position, $4), moved_at = clock_timestamp()
from unnest($2::smallint[], $3::bigint[]) as mine(slot, fence)
where s.slot = mine.slot and s.fence = mine.fence and s.owner = $1
returning s.slot
"""
# From the end of the last whole day that every consumer had confirmed; what is behind it has had its effect.
BEGUN_AGAIN = """
update relay_slots set cluster_id = $2, position = (
    select coalesce(max(position), 0) from relay_days where day < (select max(day) from relay_days))
where slot = $1 and fence = $3 returning position
"""
KNOWN_CLUSTER = "update relay_slots set cluster_id = $2 where slot = $1 and fence = $3"


class SlotLost(Exception):
    """Another process owns a slot that this one thought its own; what is sent starts over from the table."""


@dataclass
class Slot:
    """A share of the keys that this process sends."""

    number: int
    fence: int
    position: int


@dataclass
class Slots:
    """The shares of one process. Everything here goes over one connection, one call at a time."""

    cluster_id: str
    owner: UUID = field(default_factory=new_id)
    mine: dict[int, Slot] = field(default_factory=dict)
    surplus: list[int] = field(default_factory=list)
    """More than a fair share; to be given back when nothing of them is on its way."""
    _trusted_until_s: float = 0.0

    def held(self) -> Mapping[int, Slot]:
        """The slots that may be sent now: none once the lease has run out, however late that is noticed."""
        return self.mine if _now_s() < self._trusted_until_s else {}

    async def keep(self, connection: asyncpg.Connection) -> None:
        """Renew what is ours, take what is free up to a fair share, and note what is more than that."""
        asked_at_s = _now_s()
        async with connection.transaction():
            await connection.execute(SEEN, self.owner)
            await connection.execute(GONE, LEASE_S, self.owner)
            numbers, fences = self._as_arrays()
            renewed = await connection.fetch(RENEWED, self.owner, LEASE_S, numbers, fences)
            lost = set(self.mine) - {row["slot"] for row in renewed}
            others = await connection.fetchval("select count(*) from relay_owners")
            fair = -(-SLOTS // others)
            self.surplus = sorted(set(self.mine) - lost)[fair:]
            wanted = fair - len(self.mine) + len(lost)
            taken = await connection.fetch(TAKEN, self.owner, LEASE_S, wanted) if wanted > 0 else []
            positions = {row["slot"]: await self._know_cluster(connection, row) for row in taken}
        for number in lost:
            del self.mine[number]
        for row in taken:
            self.mine[row["slot"]] = Slot(row["slot"], row["fence"], positions[row["slot"]])
        self._trusted_until_s = asked_at_s + LEASE_S - MARGIN_S
        if lost or taken:
            log.info(
                "relay_slots_changed",
                mine=sorted(self.mine),
                taken=sorted(row["slot"] for row in taken),
                lost=sorted(lost),
            )

    async def give_back_surplus(self, connection: asyncpg.Connection) -> None:
        given, self.surplus = [number for number in self.surplus if number in self.mine], []
        await connection.execute(GIVEN_BACK, self.owner, given)
        for number in given:
            del self.mine[number]
        log.info("relay_slots_changed", mine=sorted(self.mine), given_back=given)

    async def _know_cluster(self, connection: asyncpg.Connection, row: asyncpg.Record) -> int:
        """Where to go on; for a broker that has nothing of ours yet, where to begin again."""
        number, fence, position = row["slot"], row["fence"], int(row["position"])
        if row["cluster_id"] is None:
            await connection.execute(KNOWN_CLUSTER, number, self.cluster_id, fence)
        elif row["cluster_id"] != self.cluster_id:
            position = int(await connection.fetchval(BEGUN_AGAIN, number, self.cluster_id, fence))
            log.error(
                "broker_has_nothing_of_ours",
                slot=number,
                before=row["cluster_id"],
                now=self.cluster_id,
                begins_at=position,
            )
        return position

    async def moved(self, connection: asyncpg.Connection, sent: Mapping[int, Slot], position: int) -> None:
        """The broker has everything of these slots up to this id. Raises `SlotLost`."""
        numbers = list(sent)
        fences = [slot.fence for slot in sent.values()]
        rows = await connection.fetch(MOVED, self.owner, numbers, fences, position)
        for slot in sent.values():
            slot.position = max(slot.position, position)
        if len(rows) < len(sent):
            raise SlotLost(f"slots {sorted(set(numbers) - {row['slot'] for row in rows})} have another owner")

    async def give_back(self, connection: asyncpg.Connection) -> None:
        """At a clean end, so that nobody has to wait for the lease to run out."""
        async with connection.transaction():
            await connection.execute(GIVEN_BACK, self.owner, list(self.mine))
            await connection.execute("delete from relay_owners where owner = $1", self.owner)
        self.mine.clear()

    def _as_arrays(self) -> tuple[list[int], list[int]]:
        return list(self.mine), [slot.fence for slot in self.mine.values()]


def _now_s() -> float:
    """A clock that goes on while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
