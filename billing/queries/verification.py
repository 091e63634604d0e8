"""The ledger checked against its own journal: everything derived is computed anew, in another way.

Nothing here trusts a cached balance, the view of day figures or what a close wrote down; the rules come from
`billing.domain`, the facts from journal and postings.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text

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
class _Ledger:
    """What the journal says, gathered in one pass."""

    balances: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    versions: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    movements: dict[date, list[Movement]] = field(default_factory=lambda: defaultdict(list))
    worked: dict[date, dict[UUID, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    """Per day what each worker's account earned and was charged, payouts aside."""
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
    ledger = _Ledger()
    found = [problem async for problem in _journal(session, ledger)]
    found += [problem async for problem in _chains(session)]
    found += [problem async for problem in _accounts(session, ledger)]
    found += [problem async for problem in _days(session, ledger)]
    found += [problem async for problem in chain_problems(session, chain or Chain(), known_head)]
    return found


async def _journal(session: ReadSession, ledger: _Ledger) -> AsyncIterator[str]:
    """Entry by entry: two legs as the rules say, at the price on record; gathers the rest on the way."""
    priced = {row.task_id: row async for row in _rows(session, select(prices))}
    statement = (
        select(
            entries, postings.c.account_id, postings.c.amount_cents, postings.c.business_date.label("dated")
        )
        .outerjoin(postings, postings.c.entry_id == entries.c.id)
        .order_by(entries.c.id, (postings.c.account_id == COMPANY) | (postings.c.account_id == PAYOUTS))
    )
    async for sides in _by_entry(_rows(session, statement)):
        entry = sides[0]
        if len(sides) != 2 or entry.account_id is None:  # noqa: PLR2004  double entry
            yield f"entry {entry.id} has {len(sides) if entry.account_id else 0} postings instead of 2"
            continue
        for problem in _entry_problems(entry, sides, priced):
            yield problem
        worker, amount = entry.account_id, abs(entry.amount_cents)
        for side in sides:
            ledger.balances[side.account_id] += side.amount_cents
            ledger.versions[side.account_id] += 1
        kind = EntryKind(entry.kind)
        ledger.movements[entry.business_date].append(Movement(kind, entry.task_id, amount, late=entry.late))
        if kind is EntryKind.PAYOUT:
            ledger.paid[entry.id] = (entry.business_date, worker, amount)
        else:
            ledger.worked[entry.business_date][worker] += entry.amount_cents


def _entry_problems(
    entry: Row[Any], sides: Sequence[Row[Any]], priced: dict[UUID, Row[Any]]
) -> Iterator[str]:
    amount, kind = abs(entry.amount_cents), EntryKind(entry.kind)
    expected = legs(kind, entry.account_id, amount)
    if tuple((side.account_id, side.amount_cents) for side in sides) != expected:
        total = sum(side.amount_cents for side in sides)
        yield f"entry {entry.id} is no {kind} of its accounts; its postings sum to {total}"
    if any(side.dated != entry.business_date for side in sides):
        yield f"entry {entry.id} of {entry.business_date} has postings of another day"
    if kind is EntryKind.PAYOUT:
        return
    price = priced.get(entry.task_id)
    if price is None:
        yield f"entry {entry.id}: task {entry.task_id} has no price"
    elif amount != (price.fee_cents if kind is EntryKind.FEE else price.reward_cents):
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


async def _accounts(session: ReadSession, ledger: _Ledger) -> AsyncIterator[str]:
    """The caches of each account against the sums of its postings."""
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date))
    total = sum(ledger.balances.values())
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
            ("balance", account.balance_cents, ledger.balances.get(account.id, 0)),
            ("version", account.version, ledger.versions.get(account.id, 0)),
            ("carried balance", account.carried_cents, carried.get(account.id, 0)),
        ):
            if stored != computed:
                yield f"account {account.id}: {name} is {stored}, its postings say {computed}"
        if account.kind == AccountKind.WORKER and account.carried_cents > 0:
            yield f"account {account.id}: {account.carried_cents} was not paid out at the last close"
    for missing in ledger.balances.keys() - known:
        yield f"account {missing} has postings but does not exist"


async def _days(session: ReadSession, ledger: _Ledger) -> AsyncIterator[str]:
    """Play every close again, in order: who is paid how much, what is carried, what the day's figures are."""
    recorded = {row.business_date: row async for row in _rows(session, select(days))}
    closed = sorted(day for day, row in recorded.items() if row.state != DayState.OPEN)
    last_closed = await session.scalar(select(ledger_state.c.last_closed_date))
    if (closed[-1] if closed else None) != last_closed:
        yield f"the last closed day is {last_closed}, the days say {closed[-1] if closed else None}"
    for before, after in pairwise(closed):
        if after - before != timedelta(days=1):
            yield f"no day was closed between {before} and {after}"
    with_letters = select(payouts, letters.c.payout_id.label("letter")).outerjoin(
        letters, letters.c.payout_id == payouts.c.id
    )
    written = {row.id: row async for row in _rows(session, with_letters)}
    debts: dict[UUID, int] = {}
    due_ids: set[UUID] = set()
    for day in closed:
        opening = sum(debts.values())
        touched = ledger.worked.get(day, {})
        standing = [AtClose(owner, debts.get(owner, 0), moved) for owner, moved in touched.items()]
        if closing := recorded[day].state == DayState.CLOSING:
            standing = [account for account in standing if account.account_id <= _settled(recorded[day])]
        due = payouts_due(day, standing)
        due_ids |= {entry.id for entry in due}
        debts |= {account.account_id: min(account.balance_cents, 0) for account in standing}
        debts = {owner: debt for owner, debt in debts.items() if debt}
        figures = figures_of(ledger.movements.get(day, []))
        for problem in _payout_problems(due, ledger.paid, written):
            yield problem
        if closing and day == closed[-1]:
            break
        for problem in _day_problems(recorded[day], opening, debts, figures):
            yield problem
    for surplus in sorted((ledger.paid.keys() | written.keys()) - due_ids):
        yield f"payout {surplus} was not due"


def _payout_problems(
    due: Iterable[Entry], paid: Mapping[UUID, tuple[date, UUID, int]], written: Mapping[UUID, Row[Any]]
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
