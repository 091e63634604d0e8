"""The outbox in id order, as far as it is settled: no transaction under way can still get in front."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from service_kit.relay.slots import SLOT_OF_KEY

# Rows of other slots are needed for their ids alone, to see whether there are gaps.
READ = f"""
select id, mine, slot,
       case when mine then event_id end as event_id, case when mine then topic end as topic,
       case when mine then key end as key, name, version, schema_id,
       case when mine then data end as data, case when mine then headers end as headers,
       occurred_at, correlation_id, causation_id, traceparent
from (
    select *, {SLOT_OF_KEY} as slot, {SLOT_OF_KEY} = any($3::int[]) as mine
    from outbox where id > $1 order by id limit $2
) as following order by id
"""  # noqa: S608  the slot is a constant expression


@dataclass
class _Gap:
    """Missing ids below `upto` may still be filled by a transaction with a number below `xmax`."""

    upto: int
    xmax: int


@dataclass(frozen=True)
class Stretch:
    """Rows up to an id, all of them settled; `rows` are those of the slots that were asked for."""

    upto: int
    rows: Sequence[asyncpg.Record]
    full: bool = False
    """As long as was asked for: more will follow."""


class SettledReader:
    """Reads on from any position; it remembers how far ids were found settled, whatever the position."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._settled = 0
        self._gap: _Gap | None = None

    @property
    def waits_at_gap(self) -> bool:
        return self._gap is not None

    async def read(self, position: int, slots: Sequence[int], limit: int) -> Stretch:
        """The next stretch after `position`; empty (`upto` is the position) when nothing is settled there."""
        if self._gap is not None:
            xmin = await self._connection.fetchval(
                "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
            )
            if xmin >= self._gap.xmax:
                self._settled = max(self._settled, self._gap.upto)
                self._gap = None
        rows = await self._connection.fetch(READ, position, limit, slots)
        taken = 0
        expected = position + 1
        for row in rows:
            if row["id"] != expected and row["id"] > self._settled:
                break
            taken += 1
            expected = row["id"] + 1
        if taken < len(rows) and self._gap is None:
            # Asked after the read: whoever drew a missing id before the read has a number below this one.
            xmax = await self._connection.fetchval(
                "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
            )
            self._gap = _Gap(upto=rows[-1]["id"], xmax=xmax)
        if not taken:
            return Stretch(position, ())
        return Stretch(rows[taken - 1]["id"], [row for row in rows[:taken] if row["mine"]], taken == limit)
