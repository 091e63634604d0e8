"""Sum by sum: accounts, days and tasks add up to the same in every service that keeps the figure."""

from collections.abc import AsyncIterator

from local_stack.reconciliation.facts import Differences
from local_stack.reconciliation.snapshots import Difference, Pair, Snapshot, by, side_by_side, text_of

WORK_DONE = """
select assignee_id as account_id, count(*) filter (where kind = 'assigned') as fees,
       count(*) filter (where kind = 'completed') as rewards
from task_history where kind in ('assigned', 'completed') group by 1 order by 1
"""
WORK_BOOKED = """
select p.account_id, count(*) filter (where e.kind = 'fee') as fees,
       count(*) filter (where e.kind = 'reward') as rewards
from postings p join journal_entries e on e.id = p.entry_id and e.kind <> 'payout'
join ledger_accounts a on a.id = p.account_id and a.kind = 'worker'
group by 1 order by 1
"""
CACHED = """
select id as account_id, balance_cents, version as postings from ledger_accounts order by id
"""
POSTED = """
select account_id, sum(amount_cents)::bigint as balance_cents, count(*) as postings
from postings group by 1 order by 1
"""
WORKERS = """
select a.id as account_id, coalesce(sum(p.amount_cents), 0)::bigint as balance_cents,
       count(p.entry_id) as entries
from ledger_accounts a left join postings p on p.account_id = a.id where a.kind = 'worker'
group by 1 having count(p.entry_id) > 0 order by 1
"""
REPORTED_ACCOUNTS = """
select user_guid as account_id, balance_cents, entry_count as entries from accounts
where entry_count > 0 order by 1
"""
DAYS = """
select e.business_date, coalesce(sum(-p.amount_cents) filter (where e.kind = 'fee'), 0)::bigint as fees_cents,
       coalesce(sum(p.amount_cents) filter (where e.kind = 'reward'), 0)::bigint as rewards_cents,
       coalesce(sum(-p.amount_cents) filter (where e.kind = 'payout'), 0)::bigint as payouts_cents,
       count(*) filter (where e.kind = 'fee') as fee_count,
       count(*) filter (where e.kind = 'reward') as reward_count,
       count(*) filter (where e.kind = 'payout') as payout_count,
       count(*) filter (where e.late) as late_count
from journal_entries e join postings p on p.entry_id = e.id
join ledger_accounts a on a.id = p.account_id and a.kind = 'worker'
group by 1 order by 1
"""
REPORTED_DAYS = """
select business_date, fees_cents, rewards_cents, payouts_cents, fee_count, reward_count, payout_count,
       late_count
from day_figures order by 1
"""
RESULTS = """
select business_date, fees_cents - rewards_cents as income_cents, fees_cents, rewards_cents, payouts_cents,
       payout_count, carried_debt_cents, accounts_negative, late_count, task_count_profit, task_count_deficit,
       max_cost_cents, max_cost_task_id
from days where state = 'closed' order by 1
"""
REPORTED_RESULTS = """
select business_date, income_cents, fees_cents, rewards_cents, payouts_cents, payout_count,
       carried_debt_cents, accounts_negative, late_count, task_count_profit, task_count_deficit,
       max_cost_task_cents as max_cost_cents, max_cost_task_id
from day_results order by 1
"""
TASK_DAYS = """
select e.business_date, e.task_id,
       coalesce(sum(-p.amount_cents) filter (where e.kind = 'fee'), 0)::bigint as fees_cents,
       coalesce(sum(p.amount_cents) filter (where e.kind = 'reward'), 0)::bigint as reward_cents
from journal_entries e join postings p on p.entry_id = e.id
join ledger_accounts a on a.id = p.account_id and a.kind = 'worker'
where e.task_id is not null group by 1, 2 order by 1, 2
"""
REPORTED_TASK_DAYS = """
select business_date, task_id, fees_cents, reward_cents from task_days order by 1, 2
"""


async def work_of_accounts(tracker: Snapshot, billing: Snapshot) -> Differences:
    """How often each account was given work and did it, by the tracker and by the ledger."""
    pairs = side_by_side(tracker.rows(WORK_DONE), billing.rows(WORK_BOOKED), by("account_id"))
    async for found in _compared("tracker and billing", "account", pairs):
        yield found


async def cached_balances(billing: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(CACHED), billing.rows(POSTED), by("account_id"))
    async for found in _compared("accounts and postings of billing", "account", pairs):
        yield found


async def whole_ledger(billing: Snapshot) -> Differences:
    total = await billing.value("select coalesce(sum(amount_cents), 0)::bigint from postings")
    if total:
        yield Difference("postings of billing", "unbalanced", f"the ledger sums to {total} instead of 0")
    yield 1


async def balances(billing: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(WORKERS), analytics.rows(REPORTED_ACCOUNTS), by("account_id"))
    async for found in _compared("billing and analytics", "account", pairs):
        yield found


async def days(billing: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(DAYS), analytics.rows(REPORTED_DAYS), by("business_date"))
    async for found in _compared("billing and analytics", "day", pairs):
        yield found


async def results(billing: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(RESULTS), analytics.rows(REPORTED_RESULTS), by("business_date"))
    async for found in _compared("billing and analytics", "result", pairs):
        yield found


async def task_days(billing: Snapshot, analytics: Snapshot) -> Differences:
    key = by("business_date", "task_id")
    pairs = side_by_side(billing.rows(TASK_DAYS), analytics.rows(REPORTED_TASK_DAYS), key)
    async for found in _compared("billing and analytics", "task", pairs):
        yield found


async def _compared(between: str, name: str, pairs: AsyncIterator[Pair]) -> Differences:
    """Figure by figure; where one side has no row, its figures count as zero."""
    here, there = between.split(" and ")
    async for pair in pairs:
        yield 1
        left, right = (rows[0] if rows else None for rows in (pair.left, pair.right))
        some = left or right
        assert some is not None  # noqa: S101  a pair has a side
        keys = {key: text_of(some.get(key)) for key in ("task_id", "account_id", "business_date")}
        whose = " of ".join(str(part) for part in reversed(pair.key))
        for field in some.keys():  # noqa: SIM118  a record iterates over its values
            if field in keys:
                continue
            one, other = (_figure(row and row[field], field) for row in (left, right))
            if one != other:
                sentence = f"{name} {whose}: {field} is {one} in {here} and {other} in {there}"
                yield Difference(between, f"{name}_{field}", sentence, **keys)


def _figure(value: object, field: str) -> object:
    return 0 if value is None and not field.endswith("_id") else value
