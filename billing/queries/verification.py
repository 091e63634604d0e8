"""The ledger checked against its own journal: everything derived is computed anew, in another way.

Nothing here trusts a cached balance, the view of day figures or what a close wrote down; the rules come from
`billing.domain`, the facts from journal and postings.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text, union

from billing.domain import (
    COMPANY,
    PAYOUTS,
    AccountKind,
    AtClose,
    DayState,
    Entry,
    EntryKind,
    Figures,
    Movement,
    figures_of,
    legs,
    payouts_due,
)
from billing.models import (
    FIGURES,
    accounts,
    days,
    entries,
    ledger_state,
    letters,
    payouts,
    postings,
    prices,
)
from billing.queries.seals import Chain, chain_problems
from service_kit.database import ReadSession

AT_ONCE = 5000


@dataclass
class _Sums:
    """What the journal says of each account."""

    balances: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    versions: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class _Day:
    """What the journal says of one day. Days are taken one after the other: no more is held than one has."""

    movements: list[Movement] = field(default_factory=list)
    worked: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    """What each worker's account earned and was charged, payouts aside."""
    paid: dict[UUID, tuple[date, UUID, int]] = field(default_factory=dict)


async def differences(
    session: ReadSession, chain: Chain | None = None, *, known_head: bytes | None = None
) -> list[str]:
    """Recompute the ledger from its journal; answers one sentence for everything that differs.

    `chain` is filled with how far the journal is sealed; `known_head` is a hash that was noted before and has
    to be in the chain. `session` must not have been used before: all reads have to see one moment while work
    goes on.
    """
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    sums = _Sums()
    found = [problem async for problem in _days(session, sums)]
    found += [problem async for problem in _chains(session)]
    found += [problem async for problem in _accounts(session, sums)]
    found += [problem async for problem in chain_problems(session, chain or Chain(), known_head)]
    return found


async def _journal(session: ReadSession, day: date, gathered: _Day, sums: _Sums) -> AsyncIterator[str]:
    """Entry by entry of a day: two legs as the rules say, at the price on record; gathers them on the way."""
    statement = (
        select(
            entries,
            postings.c.account_id,
            postings.c.amount_cents,
            postings.c.business_date.label("dated"),
            prices.c.fee_cents,
            prices.c.reward_cents,
        )
        .outerjoin(postings, postings.c.entry_id == entries.c.id)
        .outerjoin(prices, prices.c.task_id == entries.c.task_id)
        .where(entries.c.business_date == day)
        .order_by(entries.c.id, (postings.c.account_id == COMPANY) | (postings.c.account_id == PAYOUTS))
    )
    async for sides in _by_entry(_rows(session, statement)):
        entry = sides[0]
        if len(sides) != 2 or entry.account_id is None:  # noqa: PLR2004  double entry
            yield f"entry {entry.id} has {len(sides) if entry.account_id else 0} postings instead of 2"
            continue
        for problem in _entry_problems(entry, sides):
            yield problem
        worker, amount = entry.account_id, abs(entry.amount_cents)
        for side in sides:
            sums.balances[side.account_id] += side.amount_cents
            sums.versions[side.account_id] += 1
        kind = EntryKind(entry.kind)
        gathered.movements.append(Movement(kind, entry.task_id, amount, late=entry.late))
        if kind is EntryKind.PAYOUT:
            gathered.paid[entry.id] = (day, worker, amount)
        else:
            gathered.worked[worker] += entry.amount_cents


def _entry_problems(entry: Row[Any], sides: Sequence[Row[Any]]) -> Iterator[str]:
    amount, kind = abs(entry.amount_cents), EntryKind(entry.kind)
    expected = legs(kind, entry.account_id, amount)
    if tuple((side.account_id, side.amount_cents) for side in sides) != expected:
        total = sum(side.amount_cents for side in sides)
        yield f"entry {entry.id} is no {kind} of its accounts; its postings sum to {total}"
    if any(side.dated != entry.business_date for side in sides):
        yield f"entry {entry.id} of {entry.business_date} has postings of another day"
    if kind is EntryKind.PAYOUT:
        return
    if entry.fee_cents is None:
        yield f"entry {entry.id}: task {entry.task_id} has no price"
    elif amount != (entry.fee_cents if kind is EntryKind.FEE else entry.reward_cents):
        yield f"entry {entry.id}: {kind} of {amount} is not the price of task {entry.task_id}"


async def _chains(session: ReadSession) -> AsyncIterator[str]:
    """Account by account: versions count 1, 2, 3 and each balance follows from the one before."""
    account_id, version, balance = None, 0, 0
    async for row in _rows(session, select(postings).order_by(postings.c.account_id, postings.c.version)):
        if row.account_id != account_id:
            account_id, version, balance = row.account_id, 0, 0
        version, balance = version + 1, balance + row.amount_cents
        if row.version != version:
            yield f"account {account_id}: posting {version} is missing before posting {row.version}"
            version = row.version
        if row.balance_after_cents != balance:
            yield (
                f"account {account_id}, posting {version}: balance after it is {row.balance_after_cents},"
                f" should be {balance}"
            )
            balance = row.balance_after_cents


async def _accounts(session: ReadSession, sums: _Sums) -> AsyncIterator[str]:
    """The caches of each account against the sums of its postings."""
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date))
    total = sum(sums.balances.values())
    if total:
        yield f"the ledger as a whole sums to {total} instead of 0"
    carried: dict[UUID, int] = defaultdict(int)
    if last_closed is not None:
        closed = select(postings.c.account_id, postings.c.amount_cents).where(
            postings.c.business_date <= last_closed
        )
        being_closed = select(days).where(days.c.state == DayState.CLOSING)
        closing = (await session.execute(being_closed)).one_or_none()
        if closing is not None:
            # The way out is settled with each payout.
            settled = (postings.c.account_id <= _settled(closing)) | (postings.c.account_id == PAYOUTS)
            closed = closed.where((postings.c.business_date < closing.business_date) | settled)
        async for row in _rows(session, closed):
            carried[row.account_id] += row.amount_cents
    known = set()
    async for account in _rows(session, select(accounts)):
        known.add(account.id)
        for name, stored, computed in (
            ("balance", account.balance_cents, sums.balances.get(account.id, 0)),
            ("version", account.version, sums.versions.get(account.id, 0)),
            ("carried balance", account.carried_cents, carried.get(account.id, 0)),
        ):
            if stored != computed:
                yield f"account {account.id}: {name} is {stored}, its postings say {computed}"
        if account.kind == AccountKind.WORKER and account.carried_cents > 0:
            yield f"account {account.id}: {account.carried_cents} was not paid out at the last close"
    for missing in sums.balances.keys() - known:
        yield f"account {missing} has postings but does not exist"


async def _days(session: ReadSession, sums: _Sums) -> AsyncIterator[str]:
    """Day by day: its entries, then its close once more."""
    recorded = {row.business_date: row async for row in _rows(session, select(days))}
    closed = sorted(day for day, row in recorded.items() if row.state != DayState.OPEN)
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date))
    if (closed[-1] if closed else None) != last_closed:
        yield f"the last closed day is {last_closed}, the days say {closed[-1] if closed else None}"
    for before, after in pairwise(closed):
        if after - before != timedelta(days=1):
            yield f"no day was closed between {before} and {after}"
    mentioned = (table.c.business_date for table in (days, entries, payouts))
    debts: dict[UUID, int] = {}
    for day in await session.scalars(union(*(select(one) for one in mentioned)).order_by("business_date")):
        gathered = _Day()
        async for problem in _journal(session, day, gathered, sums):
            yield problem
        row, opening = recorded.get(day), sum(debts.values())
        due = _closed_again(row, gathered, debts) if row is not None and row.state != DayState.OPEN else []
        for problem in _payout_problems(due, gathered.paid, await _written(session, day)):
            yield problem
        if row is not None and row.state == DayState.CLOSED:
            for problem in _day_problems(row, opening, debts, figures_of(gathered.movements)):
                yield problem


def _closed_again(row: Row[Any], gathered: _Day, debts: dict[UUID, int]) -> list[Entry]:
    """Who is to be paid how much; brings what each account carries on in debt up to the end of the day."""
    standing = [AtClose(owner, debts.get(owner, 0), moved) for owner, moved in gathered.worked.items()]
    if row.state == DayState.CLOSING:
        standing = [account for account in standing if account.account_id <= _settled(row)]
    for account in standing:
        debts.pop(account.account_id, None)
        if account.balance_cents < 0:
            debts[account.account_id] = account.balance_cents
    return payouts_due(row.business_date, standing)


async def _written(session: ReadSession, day: date) -> dict[UUID, Row[Any]]:
    """The list of payouts of a day, each with its letter."""
    with_letters = (
        select(payouts, letters.c.payout_id.label("letter"))
        .outerjoin(letters, letters.c.payout_id == payouts.c.id)
        .where(payouts.c.business_date == day)
    )
    return {row.id: row async for row in _rows(session, with_letters)}


def _payout_problems(
    due: Collection[Entry], paid: Mapping[UUID, tuple[date, UUID, int]], written: Mapping[UUID, Row[Any]]
) -> Iterator[str]:
    for entry in due:
        name = f"payout {entry.id} of {entry.business_date}: account {entry.account_id}"
        expected = (entry.business_date, entry.account_id, entry.amount_cents)
        if paid.get(entry.id) != expected:
            yield f"{name} is due {entry.amount_cents}, the journal differs"
        row = written.get(entry.id)
        if row is None or (row.business_date, row.account_id, row.amount_cents) != expected:
            yield f"{name} is due {entry.amount_cents}, the list of payouts differs"
        elif row.letter is None:
            yield f"{name} gets no letter"
    for surplus in sorted((paid.keys() | written.keys()) - {entry.id for entry in due}):
        yield f"payout {surplus} was not due"


def _day_problems(row: Row[Any], opening: int, debts: dict[UUID, int], figures: Figures) -> Iterator[str]:
    expected = {name: getattr(figures, name) for name in FIGURES} | {
        "opening_cents": opening,
        "closing_cents": sum(debts.values()),
        "carried_debt_cents": -sum(debts.values()),
        "accounts_negative": len(debts),
    }
    for name, computed in expected.items():
        stored = getattr(row, name)
        if stored != computed:
            yield f"{row.business_date}: {name} is {stored}, the journal says {computed}"
    moved = figures.rewards_cents - figures.fees_cents - figures.payouts_cents
    closing = sum(debts.values())
    if opening + moved != closing:
        yield f"{row.business_date}: opening {opening} and movements {moved} do not make {closing}"


def _settled(closing: Row[Any]) -> UUID:
    """No account behind this one is settled yet."""
    return closing.settled_through or UUID(int=0)


async def _rows(session: ReadSession, statement: Select[Any]) -> AsyncIterator[Row[Any]]:
    """Read row by row from the server: the journal may be larger than our memory."""
    result = await session.stream(statement, execution_options={"yield_per": AT_ONCE})
    async for row in result:
        yield row


async def _by_entry(rows: AsyncIterator[Row[Any]]) -> AsyncIterator[list[Row[Any]]]:
    sides: list[Row[Any]] = []
    async for row in rows:
        if sides and sides[0].id != row.id:
            yield sides
            sides = []
        sides.append(row)
    if sides:
        yield sides
