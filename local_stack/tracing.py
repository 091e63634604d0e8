"""`trace`: the way of an event, a click or a task through outboxes, topics, consumers and the ledger."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from rich.console import Console

from local_stack.credentials import Credentials
from local_stack.environment import database_url
from local_stack.home import Home
from local_stack.money import dollars
from local_stack.services import BILLING, SERVICES
from local_stack.state import State
from local_stack.troubles import Trouble

_MOST_HOPS = 2000
_SHOWN_CHARACTERS = 2000

# Found by the id itself, or as a consequence of an event found before.
_SAID = """
select id, event_id, topic, key, name, version, schema_id, data, headers, occurred_at, recorded_at,
       correlation_id, causation_id, traceparent
from outbox
where event_id = any($1::uuid[]) or correlation_id = $2 or key = $2 or causation_id = any($1::uuid[]::text[])
order by id limit $3
"""
# By key and correlation too: of old facts the outbox may no longer know.
_HANDLED = """
select event_id, name, version, topic, partition, "offset", sent_at, processed_at
from inbox where event_id = any($1::uuid[]) or key = $2 or correlation_id = $2 order by processed_at
"""
_DEAD = """
select event_id, topic, partition, "offset", reason, detail, state, first_seen_at
from dead_letters where event_id = any($1::uuid[]) order by first_seen_at
"""
_DECIDED = """
select act.at, act.action, act.note, act.operator, act.actor_guid, letter.event_id
from dead_letter_actions act join dead_letters letter on letter.id = act.letter_id
where letter.event_id = any($1::uuid[]) order by act.id
"""
# A payout follows from no fact: what is said of it to its owner names it. As bytes: not all of them are text.
_BEHIND = """
select event_id from journal_entries where id = any($1::uuid[])
union
select said.event_id from payouts join outbox said on said.key = payouts.account_id::text
where payouts.id = any($1::uuid[]) and position(convert_to(payouts.id::text, 'UTF8') in said.data) > 0
"""
_POSTED = """
select entry.event_id, entry.kind, entry.business_date, entry.late, entry.recorded_at, posting.account_id,
       posting.amount_cents, posting.balance_after_cents
from journal_entries entry
join postings posting on posting.entry_id = entry.id
join ledger_accounts account on account.id = posting.account_id and account.kind = 'worker'
where entry.event_id = any($1::uuid[])
"""


@dataclass(frozen=True, order=True)
class Hop:
    """One station: when (system time), where and what."""

    at: datetime
    order: int
    service: str
    what: str
    detail: str = field(compare=False, default="")
    content: tuple[str, ...] = field(compare=False, default=())
    """Lines that show what was sent: headers, then the value."""


def trace(home: Home, state: State, wanted: str, console: Console) -> None:
    hops = asyncio.run(_hops(home, state, wanted))
    if not hops:
        raise Trouble(
            f"Nothing is known of {wanted}. Name an event id, a correlation id (X-Request-ID of an answer), "
            "the key of events, such as a task id, or an entry of the ledger."
        )
    console.print(
        f"Began {hops[0].at.isoformat(timespec='milliseconds')}; the times are milliseconds after it."
    )
    # Lines, not a table with borders: ids must stay whole to be copied and searched for.
    for hop in hops:
        after_ms = (hop.at - hops[0].at).total_seconds() * 1000
        print(f"{after_ms:>12,.1f}  {hop.service:<10} {hop.what:<32} {hop.detail}")
        for line in hop.content:
            print(f"{'':>26}{line}")


async def _hops(home: Home, state: State, wanted: str) -> list[Hop]:
    credentials = Credentials(home.secrets_file)
    connections: dict[str, asyncpg.Connection] = {}
    try:
        for service in SERVICES:
            url = database_url(service, "reader", state.layout, credentials)
            connections[service.name] = await asyncpg.connect(url)
        # An entry of the ledger stands for the fact that it follows from.
        behind = await connections[BILLING.name].fetch(_BEHIND, _as_uuid(wanted))
        ids = _as_uuid(wanted) | {row["event_id"] for row in behind}
        said = await _all_said(connections, wanted, ids)
        hops = [_said_hop(name, row) for name, row in said]
        ids |= {row["event_id"] for _, row in said}
        for name, connection in connections.items():
            for row in await connection.fetch(_HANDLED, ids, wanted):
                hops += _handled(name, row)
            hops += [_dead(name, row) for row in await connection.fetch(_DEAD, ids)]
            hops += [_decided(name, row) for row in await connection.fetch(_DECIDED, ids)]
        return sorted(await _with_ledger(connections[BILLING.name], hops, ids))
    finally:
        for connection in connections.values():
            await connection.close()


async def _all_said(
    connections: dict[str, asyncpg.Connection], wanted: str, ids: set[UUID]
) -> list[tuple[str, asyncpg.Record]]:
    """Rows of all outboxes: those that match, then what followed from them, until nothing new follows."""
    found: dict[tuple[str, int], asyncpg.Record] = {}
    while True:
        before = len(found)
        for service, connection in connections.items():
            for row in await connection.fetch(_SAID, ids, wanted, _MOST_HOPS):
                found[service, row["id"]] = row
        ids = ids | {row["event_id"] for row in found.values()}
        if len(found) == before or len(found) >= _MOST_HOPS:
            return [(service, row) for (service, _), row in found.items()]


def _as_uuid(wanted: str) -> set[UUID]:
    try:
        return {UUID(wanted)}
    except ValueError:
        return set()


def _said_hop(service: str, row: asyncpg.Record) -> Hop:
    return Hop(
        row["recorded_at"],
        0,
        service,
        f"says {row['name']} v{row['version']}",
        f"event {row['event_id']} key {row['key']} correlation {row['correlation_id'] or '-'}",
        (" ".join(f"{name}={value}" for name, value in _headers(row).items()), _text(row["data"])),
    )


def _headers(row: asyncpg.Record) -> dict[str, Any]:
    """What travels beside the value, but for what the line above says already."""
    if row["headers"] is not None:
        own: dict[str, Any] = json.loads(row["headers"])
        return own
    told = {
        "ce_time": row["occurred_at"].isoformat(),
        "schema": row["schema_id"],
        "causationid": row["causation_id"],
        "traceparent": row["traceparent"],
    }
    return {name: value for name, value in told.items() if value is not None}


def _text(value: bytes) -> str:
    shown = value.decode(errors="backslashreplace")
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


def _handled(service: str, row: asyncpg.Record) -> list[Hop]:
    place = f"{row['topic']} [{row['partition']}] @{row['offset']}"
    return [
        Hop(row["sent_at"], 1, "kafka", f"has {row['name']} v{row['version']}", f"{place} for {service}"),
        Hop(
            row["processed_at"],
            2,
            service,
            f"has acted on {row['name']} v{row['version']}",
            f"event {row['event_id']}",
        ),
    ]


def _dead(service: str, row: asyncpg.Record) -> Hop:
    place = f"{row['topic']} [{row['partition']}] @{row['offset']}"
    return Hop(
        row["first_seen_at"],
        2,
        service,
        f"put aside: {row['reason']}",
        f"{place} {row['detail']} ({row['state']})",
    )


def _decided(service: str, row: asyncpg.Record) -> Hop:
    who = row["actor_guid"] or row["operator"] or "the consumer"
    return Hop(
        row["at"],
        2,
        service,
        f"dead letter: {row['action']}",
        f"event {row['event_id']} by {who}{': ' if row['note'] else ''}{row['note'] or ''}",
    )


async def _with_ledger(connection: asyncpg.Connection, hops: list[Hop], ids: set[UUID]) -> list[Hop]:
    """Billing's hops, followed by what they wrote into the journal."""
    acted = {
        hop.detail: hop for hop in hops if hop.service == BILLING.name and hop.what.startswith("has acted")
    }
    posted = []
    for row in await connection.fetch(_POSTED, ids):
        cause = acted.get(f"event {row['event_id']}")
        # What no fact caused is shown where it is first spoken of: days have a clock of their own.
        at = cause.at if cause is not None else min((hop.at for hop in hops), default=row["recorded_at"])
        amount = dollars(row["amount_cents"], signed=True)
        posted.append(Hop(at, 3, "ledger", f"{row['kind']} {amount}", _posting(row)))
    return hops + posted


def _posting(row: Any) -> str:
    late = ", late" if row["late"] else ""
    balance = dollars(row["balance_after_cents"])
    return f"account {row['account_id']} now {balance}, day {row['business_date']}{late}"
