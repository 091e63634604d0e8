"""What the journal holds because of an event, for the page of the event's way."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from billing.domain import ENTRY_NAMES, AccountKind, EntryKind, fact_id
from billing.models import accounts, entries, postings
from service_kit.database import ReadSession
from service_kit.inbox import inbox
from service_kit.money import format_cents
from service_kit.outbox import outbox
from service_kit.rows import any_of
from service_kit.text import message as _
from service_kit.tracing.reading import Hop


async def bookings(session: ReadSession, events: Sequence[UUID]) -> list[Hop]:
    """The entries that these events caused, at the machine's time of their transaction.

    No event causes a payout: it stands where it was first spoken of, as the close of its day goes by the
    business clock.
    """
    rows = await session.execute(
        select(entries, postings.c.account_id, postings.c.amount_cents, postings.c.balance_after_cents)
        .add_columns(inbox.c.processed_at)
        .join(postings, postings.c.entry_id == entries.c.id)
        .join(accounts, (accounts.c.id == postings.c.account_id) & (accounts.c.kind == AccountKind.WORKER))
        .outerjoin(inbox, inbox.c.event_id == entries.c.event_id)
        .where(entries.c.event_id == any_of(events))
    )
    found = rows.all()
    payouts = [row.id for row in found if row.processed_at is None]
    spoken_of = await _spoken_of(session, payouts) if payouts else {}
    return [
        Hop(
            row.processed_at or spoken_of.get(row.id, row.recorded_at),
            "booked",
            row.event_id,
            f"{ENTRY_NAMES[EntryKind(row.kind)].translated()} {format_cents(row.amount_cents, signed=True)}",
            f"booked-{row.id}",
            place=f"{row.business_date}",
            detail=_(
                "Account {account}: {balance} after it",
                account=row.account_id,
                balance=format_cents(row.balance_after_cents),
            ),
        )
        for row in found
    ]


async def _spoken_of(session: ReadSession, payouts: Collection[UUID]) -> dict[UUID, datetime]:
    facts = {fact_id("EntryPosted", payout): payout for payout in payouts}
    told = await session.execute(
        select(outbox.c.event_id, outbox.c.recorded_at).where(outbox.c.event_id == any_of(facts))
    )
    return {facts[row.event_id]: row.recorded_at for row in told}


async def events_of_entry(session: ReadSession, entry: UUID) -> Collection[UUID]:
    """The event that an entry of the journal follows from; of a payout, itself and what is said of it."""
    found = (
        await session.execute(select(entries.c.event_id, entries.c.kind).where(entries.c.id == entry))
    ).one_or_none()
    if found is None:
        return ()
    if found.kind == EntryKind.PAYOUT:
        return found.event_id, fact_id("EntryPosted", entry), fact_id("PayoutMade", entry)
    return (found.event_id,)
