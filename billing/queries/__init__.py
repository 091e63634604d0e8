"""Every read of billing."""

from billing.queries.accounts import (
    Account,
    Balance,
    EntryLine,
    account,
    accounts_by_balance,
    balance_of,
    entries_of,
    entries_of_task,
)
from billing.queries.days import (
    DayFigures,
    PayoutLine,
    day_of,
    days_backwards,
    late_entries,
    next_due_day,
    payouts_of,
)
from billing.queries.seals import Chain
from billing.queries.tracing import bookings, events_of_entry
from billing.queries.verification import differences

__all__ = [
    "Account",
    "Balance",
    "Chain",
    "DayFigures",
    "EntryLine",
    "PayoutLine",
    "account",
    "accounts_by_balance",
    "balance_of",
    "bookings",
    "day_of",
    "days_backwards",
    "differences",
    "entries_of",
    "entries_of_task",
    "events_of_entry",
    "late_entries",
    "next_due_day",
    "payouts_of",
]
