"""Rules of money and of business days: prices, double entry, dates, closing. Pure: no database, no clock.

Amounts are integer cents. A worker's account shows what the company owes that worker, so a fee is negative
there and a reward positive; the company's account shows the mirror image, and every entry sums to zero.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from service_kit.errors import Forbidden, Invalid, NotFound
from service_kit.text import Message
from service_kit.text import message as _

LEDGER = UUID("6b1f7e0a-5f3d-5c55-9d3e-2f6f2f1f3a10")
"""Name space of every id the ledger derives instead of drawing, so that a second run derives the same."""

COMPANY = uuid5(LEDGER, "company")
"""The account of top management: fees come in, rewards go out."""

PAYOUTS = uuid5(LEDGER, "payouts")
"""The account through which money leaves the exchange."""

FEE_DOLLARS = range(10, 21)
REWARD_DOLLARS = range(20, 41)
CENTS = 100


class EntryKind(StrEnum):
    FEE = "fee"
    REWARD = "reward"
    PAYOUT = "payout"


ENTRY_NAMES = {
    EntryKind.FEE: _("Fee for the assignment"),
    EntryKind.REWARD: _("Reward for the work"),
    EntryKind.PAYOUT: _("Paid out"),
}
"""What people call them."""


class AccountKind(StrEnum):
    WORKER = "worker"
    COMPANY = "company"
    PAYOUTS = "payouts"


class DayState(StrEnum):
    OPEN = "open"
    CLOSING = "closing"
    """The day has ended and is about to be closed; only told to readers, never stored."""
    CLOSED = "closed"


class ContradictingFact(Invalid):
    code: ClassVar[str] = "contradicting_fact"
    title: ClassVar[Message] = _("The ledger already holds another fact about this")


class AccountUnknown(NotFound):
    code: ClassVar[str] = "account_unknown"
    title: ClassVar[Message] = _("No such account")


class NoAccount(Forbidden):
    """Somebody who orders work and has never done any: there is no account to show."""

    code: ClassVar[str] = "no_account"
    title: ClassVar[Message] = _("No account")


class DayUnknown(NotFound):
    code: ClassVar[str] = "day_unknown"
    title: ClassVar[Message] = _("No such day")


# Prices


@dataclass(frozen=True, slots=True)
class Price:
    fee_cents: int
    reward_cents: int

    def of(self, kind: EntryKind) -> int:
        return self.fee_cents if kind is EntryKind.FEE else self.reward_cents


def price_task(task_id: UUID, key: bytes) -> Price:
    """Draw a task's price from its id (A4, R4, R7).

    The price looks random to whoever lacks the key, and is the same however often the events are replayed.
    Eight bytes for each draw keep the bias of the remainder below one in 10^17.
    """
    drawn = hmac.digest(key, task_id.bytes, hashlib.sha256)
    fee = FEE_DOLLARS[int.from_bytes(drawn[:8], "big") % len(FEE_DOLLARS)]
    reward = REWARD_DOLLARS[int.from_bytes(drawn[8:16], "big") % len(REWARD_DOLLARS)]
    return Price(fee_cents=fee * CENTS, reward_cents=reward * CENTS)


# Double entry


@dataclass(frozen=True, slots=True)
class Entry:
    """One reason for money to move between a worker and the company or the way out."""

    id: UUID
    kind: EntryKind
    account_id: UUID
    """The worker's account."""
    amount_cents: int
    """Always positive; the kind says which way it goes."""
    business_date: date


def legs(kind: EntryKind, account_id: UUID, amount_cents: int) -> tuple[tuple[UUID, int], tuple[UUID, int]]:
    """The two sides of an entry, the worker's first. They sum to zero."""
    if amount_cents <= 0:
        raise ValueError(f"an entry moves a positive amount, not {amount_cents}")
    match kind:
        case EntryKind.FEE:
            return (account_id, -amount_cents), (COMPANY, amount_cents)
        case EntryKind.REWARD:
            return (account_id, amount_cents), (COMPANY, -amount_cents)
        case EntryKind.PAYOUT:
            return (account_id, -amount_cents), (PAYOUTS, amount_cents)


def entry_id(event_id: UUID) -> UUID:
    """The entry a fact causes, derived so that a replay writes the same journal."""
    return _derived(b"", event_id)


def payout_id(day: date, account_id: UUID) -> UUID:
    return uuid5(LEDGER, f"payout {day.isoformat()} {account_id}")


def fact_id(name: str, subject: UUID | date) -> UUID:
    """The event id of a fact we say about `subject`, the same on every run."""
    if isinstance(subject, UUID):
        return _derived(name.encode(), subject)
    return uuid5(LEDGER, f"{name} {subject}")


def _derived(name: bytes, origin: UUID) -> UUID:
    """It begins with the origin's own time-ordered first bytes: what is new stays together in every index.

    Ids without an order would each touch another page of an index that no longer fits into memory.
    """
    derived = bytearray(hashlib.sha256(LEDGER.bytes + name + origin.bytes).digest()[:16])
    derived[:6] = origin.bytes[:6]
    derived[6] = 0x70 | derived[6] & 0x0F
    derived[8] = 0x80 | derived[8] & 0x3F
    return UUID(bytes=bytes(derived))


# Business days


def business_date(moment: datetime, zone: ZoneInfo) -> date:
    """The date on which this moment falls in the business zone (R8)."""
    return moment.astimezone(zone).date()


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First moment of the day and first moment after it, in UTC: 23, 24 or 25 hours apart, or other.

    Each bound is the earliest moment whose local date is not before the day. A midnight that the clocks
    jump over, or pass twice, is no exception to that.
    """
    return _first_moment(day, zone), _first_moment(day + timedelta(days=1), zone)


def _first_moment(day: date, zone: ZoneInfo) -> datetime:
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    # Reading the wall clock with the offset before a jump gives the moment of the jump itself when the
    # clocks skip exactly from midnight; fold 0 is the first of two equal wall times.
    return midnight.astimezone(UTC)


def is_due(day: date, zone: ZoneInfo, now: datetime, delay: timedelta) -> bool:
    """A day may close once it has ended and stragglers have had `delay` to arrive."""
    return now >= day_bounds(day, zone)[1] + delay


def may_close(*, lag: int, waited_s: float, max_wait_s: float) -> bool:
    """Close only when everything said so far is posted, or when waiting for it has lasted long enough."""
    return lag == 0 or waited_s >= max_wait_s


# Closing


@dataclass(frozen=True, slots=True)
class AtClose:
    """A worker's account when the day ends: what was carried into the day, and how the day moved it."""

    account_id: UUID
    carried_cents: int
    movement_cents: int

    @property
    def balance_cents(self) -> int:
        return self.carried_cents + self.movement_cents


def payouts_due(day: date, accounts: Iterable[AtClose]) -> list[Entry]:
    """Pay every positive balance and leave every debt as it is (A6, A7, S3-31, S3-32)."""
    due = sorted((a for a in accounts if a.balance_cents > 0), key=lambda a: a.account_id)
    return [
        Entry(
            id=payout_id(day, account.account_id),
            kind=EntryKind.PAYOUT,
            account_id=account.account_id,
            amount_cents=account.balance_cents,
            business_date=day,
        )
        for account in due
    ]


@dataclass(frozen=True, slots=True)
class Movement:
    """What one entry of a day did, for the day's figures."""

    kind: EntryKind
    task_id: UUID | None
    amount_cents: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a business day that follow from its entries alone (R5, R9)."""

    fees_cents: int = 0
    rewards_cents: int = 0
    payouts_cents: int = 0
    payout_count: int = 0
    late_count: int = 0
    task_count_profit: int = 0
    task_count_deficit: int = 0
    max_cost_cents: int | None = None
    max_cost_task_id: UUID | None = None

    @property
    def income_cents(self) -> int:
        """What top management earned: fees less rewards (A5)."""
        return self.fees_cents - self.rewards_cents


def figures_of(movements: Sequence[Movement]) -> Figures:
    """Add up a day. Among equally dear tasks the one with the smallest id is named."""
    sums = dict.fromkeys(EntryKind, 0)
    nets: dict[UUID, int] = {}
    rewards: list[tuple[int, UUID]] = []
    for movement in movements:
        sums[movement.kind] += movement.amount_cents
        if movement.task_id is None:
            continue
        net = movement.amount_cents if movement.kind is EntryKind.FEE else -movement.amount_cents
        nets[movement.task_id] = nets.get(movement.task_id, 0) + net
        if movement.kind is EntryKind.REWARD:
            rewards.append((-movement.amount_cents, movement.task_id))
    dearest = min(rewards, default=None)
    return Figures(
        fees_cents=sums[EntryKind.FEE],
        rewards_cents=sums[EntryKind.REWARD],
        payouts_cents=sums[EntryKind.PAYOUT],
        payout_count=sum(m.kind is EntryKind.PAYOUT for m in movements),
        late_count=sum(m.late for m in movements),
        task_count_profit=sum(net > 0 for net in nets.values()),
        task_count_deficit=sum(net < 0 for net in nets.values()),
        max_cost_cents=-dearest[0] if dearest else None,
        max_cost_task_id=dearest[1] if dearest else None,
    )


# Seals

LEAF_BYTES = 32
"""A leaf is the SHA-256 of one entry with its postings."""

GENESIS = bytes(LEAF_BYTES)
"""What the first block of the chain follows."""


def seal_hash(
    previous: bytes, number: int, account_id: UUID, first_version: int, last_version: int, leaves: bytes
) -> bytes:
    """Hash of a block: it follows from the block before and from every entry in it."""
    place = f"{number} {account_id} {first_version} {last_version} ".encode()
    return hashlib.sha256(previous + place + leaves).digest()
