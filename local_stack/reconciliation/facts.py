"""Fact by fact: what the tracker did is in the ledger once, and what the ledger did was heard once."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import asyncpg

from local_stack.reconciliation.snapshots import (
    Difference,
    Pair,
    Snapshot,
    by,
    side_by_side,
    text_of,
    unequal,
)

Differences = AsyncIterator[Difference | int]
"""Differences, and now and then the number of rows that were compared."""

WORKED = """
select task_id, case kind when 'assigned' then 'fee' else 'reward' end as kind, cycle,
       assignee_id as account_id
from task_history where kind in ('assigned', 'completed')
order by task_id, case kind when 'assigned' then 'fee' else 'reward' end collate "C", cycle
"""
CHARGED = """
select e.task_id, e.kind, e.cycle, p.account_id, p.amount_cents, e.business_date,
       case e.kind when 'fee' then -r.fee_cents else r.reward_cents end as price_cents
from journal_entries e
left join (postings p join ledger_accounts a on a.id = p.account_id and a.kind = 'worker')
    on p.entry_id = e.id
left join task_prices r on r.task_id = e.task_id
where e.kind <> 'payout'
order by e.task_id, e.kind collate "C", e.cycle
"""


@dataclass(frozen=True)
class _Heard:
    """Facts of one kind as analytics keeps them, and the types that their fields are compared as."""

    names: tuple[str, ...]
    topic: str
    fields: Mapping[str, str]
    absent: frozenset[str] = frozenset()
    """Fields that may be null."""

    @property
    def kind(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.names)
        return f"topic = '{self.topic}' and name in ({names})"

    @property
    def readable(self) -> str:
        return " and ".join(
            f"coalesce(pg_input_is_valid(data->>'{name}', '{kind}'), {name in self.absent})"
            for name, kind in self.fields.items()
        )


# What was heard is compared as it came: an integer of a contract may be of any size, and written 1.0.
_WORK = _Heard(
    ("TaskAssigned", "TaskCompleted"),
    "tracker.tasks",
    {"taskId": "uuid", "cycle": "numeric", "userGuid": "uuid"},
)
_ENTRIES = _Heard(
    ("EntryPosted",),
    "billing.ledger",
    {
        **dict.fromkeys(("entryId", "taskId", "userGuid"), "uuid"),
        **dict.fromkeys(("amountCents", "balanceAfterCents"), "numeric"),
        "businessDate": "date",
        "late": "boolean",
    },
    frozenset({"taskId"}),
)
_PAYOUTS = _Heard(
    ("PayoutMade",),
    "billing.ledger",
    {"payoutId": "uuid", "userGuid": "uuid", "amountCents": "numeric", "businessDate": "date"},
)
_COMPARED = " or ".join(f"({heard.kind})" for heard in (_WORK, _ENTRIES, _PAYOUTS))
KEPT = f"select count(*) from raw_events where {_COMPARED}"  # noqa: S608  names of our own
UNREADABLE = " union all ".join(
    f"select event_id, name from raw_events where {heard.kind} and not ({heard.readable})"  # noqa: S608
    for heard in (_WORK, _ENTRIES, _PAYOUTS)
)
HEARD_WORK = f"""
select (data->>'taskId')::uuid as task_id, case name when 'TaskAssigned' then 'fee' else 'reward' end as kind,
       (data->>'cycle')::numeric as cycle, (data->>'userGuid')::uuid as account_id
from raw_events where {_WORK.kind} and {_WORK.readable}
order by 1, case name when 'TaskAssigned' then 'fee' else 'reward' end collate "C", 3
"""  # noqa: S608  names of our own
KNOWN_PRICES = "select id as task_id, fee_cents, reward_cents from tasks order by id"
PRICES = "select task_id, fee_cents, reward_cents from task_prices order by task_id"
ENTRIES = """
select e.id, e.kind, e.task_id, p.account_id, p.amount_cents, p.balance_after_cents, e.business_date, e.late
from journal_entries e
left join (postings p join ledger_accounts a on a.id = p.account_id and a.kind = 'worker')
    on p.entry_id = e.id
order by e.id
"""
HEARD_ENTRIES = f"""
select (data->>'entryId')::uuid as id, data->>'kind' as kind, (data->>'taskId')::uuid as task_id,
       (data->>'userGuid')::uuid as account_id, (data->>'amountCents')::numeric as amount_cents,
       (data->>'balanceAfterCents')::numeric as balance_after_cents,
       (data->>'businessDate')::date as business_date, (data->>'late')::boolean as late
from raw_events where {_ENTRIES.kind} and {_ENTRIES.readable} order by 1
"""  # noqa: S608  names of our own
PAYOUTS = """
select p.id, p.account_id, p.amount_cents, p.business_date, l.payout_id is not null as has_letter
from payouts p left join letters l on l.payout_id = p.id order by p.id
"""
HEARD_PAYOUTS = f"""
select (data->>'payoutId')::uuid as id, (data->>'userGuid')::uuid as account_id,
       (data->>'amountCents')::numeric as amount_cents, (data->>'businessDate')::date as business_date
from raw_events where {_PAYOUTS.kind} and {_PAYOUTS.readable} order by 1
"""  # noqa: S608  names of our own

DID = {"fee": "assignment", "reward": "completion"}
WORK_KEY = by("task_id", "kind", "cycle")


async def work_in_the_ledger(tracker: Snapshot, billing: Snapshot) -> Differences:
    """Every assignment is charged once and every completion rewarded once, to the right account and price."""
    pairs = side_by_side(tracker.rows(WORKED), billing.rows(CHARGED), WORK_KEY)
    async for pair in pairs:
        yield 1
        for difference in _charges(pair):
            yield difference


def _charges(pair: Pair) -> list[Difference]:
    task_id, kind, cycle = pair.key
    name = f"{DID[kind]} {cycle} of task {task_id}"

    def differs(what: str, sentence: str, row: asyncpg.Record) -> Difference:
        return Difference(
            "tracker and billing",
            what,
            sentence,
            task_id=text_of(task_id),
            account_id=text_of(row["account_id"]),
            business_date=text_of(row.get("business_date")),
        )

    if not pair.right:
        fact = pair.left[0]
        return [differs("missing_entry", f"{name} by {fact['account_id']} has no {kind} in the ledger", fact)]
    if not pair.left:
        entry = pair.right[0]
        sentence = f"the ledger has a {kind} of {entry['amount_cents']} for {name}, which never happened"
        return [differs("surplus_entry", sentence, entry)]
    found = []
    if len(pair.right) > len(pair.left):
        sentence = f"{name} happened once and has {len(pair.right)} entries in the ledger"
        found.append(differs("doubled_entry", sentence, pair.right[-1]))
    for entry in pair.right:
        if entry["amount_cents"] is None:
            found.append(differs("unposted_entry", f"the {kind} of {name} moved no worker's account", entry))
        elif entry["account_id"] != pair.left[0]["account_id"]:
            sentence = f"{name} by {pair.left[0]['account_id']} was posted to {entry['account_id']}"
            found.append(differs("other_account", sentence, entry))
        elif entry["amount_cents"] != entry["price_cents"]:
            sentence = (
                f"{name} costs {entry['price_cents']} and was posted with {entry['amount_cents']} to account"
                f" {entry['account_id']}"
            )
            found.append(differs("other_amount", sentence, entry))
    return found


async def work_in_analytics(tracker: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(tracker.rows(WORKED), analytics.rows(HEARD_WORK), WORK_KEY)
    async for pair in pairs:
        yield 1
        task_id, kind, cycle = pair.key
        name = f"{DID[kind]} {cycle} of task {task_id}"
        place = {
            "task_id": text_of(task_id),
            "account_id": text_of((pair.left or pair.right)[0]["account_id"]),
        }
        if len(pair.left) != len(pair.right):
            what = "unheard_fact" if len(pair.right) < len(pair.left) else "surplus_fact"
            sentence = f"{name} happened {len(pair.left)} times and was heard {len(pair.right)} times"
            yield Difference("tracker and analytics", what, sentence, **place)
        elif pair.left[0]["account_id"] != pair.right[0]["account_id"]:
            sentence = (
                f"{name} was by {pair.left[0]['account_id']}, heard as by {pair.right[0]['account_id']}"
            )
            yield Difference("tracker and analytics", "other_account", sentence, **place)


async def facts_in_analytics(analytics: Snapshot) -> Differences:
    """What analytics keeps can be compared at all; what can not is left out of the other comparisons."""
    yield await analytics.value(KEPT)
    async for row in analytics.rows(UNREADABLE):
        sentence = f"analytics keeps a {row['name']} with values of other types, event {row['event_id']}"
        yield Difference("contracts and analytics", "unreadable_fact", sentence)


async def prices_in_the_tracker(tracker: Snapshot, billing: Snapshot) -> Differences:
    pairs = side_by_side(tracker.rows(KNOWN_PRICES), billing.rows(PRICES), by("task_id"))
    async for pair in pairs:
        yield 1
        (task_id,) = pair.key
        for what, sentence in _price_problems(pair):
            yield Difference(
                "tracker and billing", what, f"task {task_id} {sentence}", task_id=text_of(task_id)
            )


def _price_problems(pair: Pair) -> list[tuple[str, str]]:
    if not pair.right:
        return [("unpriced_task", "has no price in billing")]
    if not pair.left:
        return [("surplus_price", "has a price in billing and is unknown to the tracker")]
    return [
        ("other_price", f"has {name} {shown} in the tracker and {priced} in billing")
        for name, shown, priced in unequal(pair.left[0], pair.right[0], "fee_cents", "reward_cents")
    ]


async def entries_in_analytics(billing: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(ENTRIES), analytics.rows(HEARD_ENTRIES), by("id"))
    fields = (
        *("kind", "task_id", "account_id", "amount_cents", "balance_after_cents"),
        *("business_date", "late"),
    )
    async for difference in _told("entry", pairs, fields):
        yield difference


async def payouts_in_analytics(billing: Snapshot, analytics: Snapshot) -> Differences:
    pairs = side_by_side(billing.rows(PAYOUTS), analytics.rows(HEARD_PAYOUTS), by("id"))
    async for difference in _told("payout", pairs, ("account_id", "amount_cents", "business_date")):
        yield difference


async def letters_of_payouts(billing: Snapshot) -> Differences:
    async for row in billing.rows(PAYOUTS):
        yield 1
        if not row["has_letter"]:
            yield Difference(
                "payouts and letters",
                "missing_letter",
                f"payout {row['id']} of {row['amount_cents']} has no letter",
                account_id=text_of(row["account_id"]),
                business_date=text_of(row["business_date"]),
            )


async def _told(name: str, pairs: AsyncIterator[Pair], fields: tuple[str, ...]) -> Differences:
    """What billing has and what analytics heard of it, by id."""
    async for pair in pairs:
        yield 1
        row = (pair.left or pair.right)[0]
        place = {
            "task_id": text_of(row.get("task_id")),
            "account_id": text_of(row["account_id"]),
            "business_date": text_of(row["business_date"]),
        }
        between = "billing and analytics"
        if not pair.right:
            sentence = f"{name} {row['id']} of {row['amount_cents']} was not heard by analytics"
            yield Difference(between, f"unheard_{name}", sentence, **place)
        elif not pair.left:
            sentence = (
                f"analytics heard of {name} {row['id']} of {row['amount_cents']}, which billing has not"
            )
            yield Difference(between, f"unknown_{name}", sentence, **place)
        elif len(pair.left) != len(pair.right):
            sentence = (
                f"{name} {row['id']} is {len(pair.left)} times in billing, {len(pair.right)} in analytics"
            )
            yield Difference(between, f"doubled_{name}", sentence, **place)
        else:
            for field, said, heard in unequal(pair.left[0], pair.right[0], *fields):
                sentence = f"{name} {row['id']} has {field} {said} in billing and {heard} in analytics"
                yield Difference(between, f"other_{field}", sentence, **place)
