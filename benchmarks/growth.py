"""What an event costs billing when its ledger is large: the same backlog beside ledgers of several sizes.

Starts engines of its own, as `backbone` does. Between two measurements the ledger is filled up inside the
database, past its checks, by entries that follow its rules: each account in turn is charged a fee and earns
as much. One seal stands for all of them, so that the worker does not seal them while it is measured.
Afterwards every measured fact stands in the inbox once, every entry has two sides that sum to zero, and each
account's balance is the sum of its postings; else the figures are void.
"""

import argparse
import asyncio
import json
import time
from typing import Any

import asyncpg

from benchmarks._stage import Stage, engines, service
from benchmarks.backbone import POSTED, consume, facts, fill, make_topic, schema_ids
from local_stack.services import REGISTRY

ENTRIES = (100_000, 1_000_000)
TASKS = 40_000
GOAL_RATIO = 1.1
ACCOUNTS = 1_000
AT_ONCE = 200_000

# Past the checks of each statement, and without a wait for each commit: what is filled in is not measured.
UNCHECKED = """
set session_replication_role = replica; set synchronous_commit = off; set maintenance_work_mem = '256MB'
"""

# Of the form the exchange draws: the time first, so that neighbours in time are neighbours.
NUMBERED_ID = """
create function numbered_id(number bigint, kind text) returns uuid immutable language sql as $$
    select (lpad(to_hex(1700000000000 + number), 12, '0') || '7' || substr(md5(kind || number), 1, 3)
            || 'a' || substr(md5(kind || number), 4, 15))::uuid
$$
"""

# Entry n belongs to task (n + 1) / 2: first its fee, then its reward. The tasks go round the accounts.
NUMBERED = """
create temporary table numbered as
select n, n % 2 = 1 as is_fee, task, entry, event, worker, turn * 2 + 2 - n % 2 as worker_version,
       (n - $1::bigint) + $3::bigint + 1 as company_version,
       case n % 2 when 1 then -2000 else 2000 end as amount, now() as moment, current_date as day
from (
    select n, numbered_id(n, 'entry') as entry, numbered_id(n, 'event') as event,
           numbered_id((n + 1) / 2, 'task') as task, ((n + 1) / 2 - 1) / $4::bigint as turn,
           numbered_id(((n + 1) / 2 - 1) % $4::bigint, 'worker') as worker
    from generate_series($1::bigint, $2::bigint) as n
) as of_task
"""
FILLED_IN = (
    """
    insert into ledger_accounts (id, kind, balance_cents, version, opened_at)
    select distinct on (worker) worker, 'worker', least(amount, 0), worker_version, moment
    from numbered order by worker, n desc
    on conflict (id) do update set version = excluded.version, balance_cents = excluded.balance_cents
    """,
    """
    insert into task_prices (task_id, fee_cents, reward_cents, priced_at)
    select task, 2000, 2000, moment from numbered where is_fee order by n
    """,
    """
    insert into task_titles (task_id, title, updated_at)
    select task, 'Task number ' || n || ' of a long backlog of work', moment
    from numbered where is_fee order by n
    """,
    """
    insert into journal_entries
        (id, event_id, kind, task_id, cycle, business_date, occurred_at, recorded_at, late)
    select entry, event, case when is_fee then 'fee' else 'reward' end, task, 1, day, moment, moment, false
    from numbered order by n
    """,
    """
    insert into postings (account_id, version, entry_id, business_date, amount_cents, balance_after_cents)
    select worker, worker_version, entry, day, amount, least(amount, 0) from numbered order by n
    """,
    """
    insert into postings (account_id, version, entry_id, business_date, amount_cents, balance_after_cents)
    select c.id, company_version, entry, day, -amount, c.balance_cents + greatest(-amount, 0)
    from numbered, ledger_accounts c where c.kind = 'company' order by n
    """,
    "update ledger_accounts set version = (select max(company_version) from numbered) where kind = 'company'",
    """
    insert into inbox
        (event_id, version, fingerprint, name, topic, partition, "offset", key, correlation_id, sent_at)
    select said, 1, decode(md5(said::text) || md5(said::text), 'hex'), 'TaskCompleted', 'tracker.tasks', 0, n,
           task::text, said::text, moment
    from numbered,
         lateral (select event union all select numbered_id(n, 'created') where is_fee) as one (said)
    order by n
    """,
    """
    insert into outbox (event_id, topic, key, name, version, schema_id, data, occurred_at, correlation_id)
    select said, 'billing.ledger', worker::text, 'EntryPosted', 1, 1, convert_to(repeat('x', 250), 'UTF8'),
           moment, said::text
    from numbered,
         lateral (select entry union all select numbered_id(n, 'priced') where is_fee) as one (said)
    order by n
    """,
    "drop table numbered",
)
# Made anew behind the fill, indexes cost a part of what each row of it would; those of constraints stay.
ASIDE = """
select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made
from pg_index
where indrelid = any ('{journal_entries,postings,inbox,outbox}'::regclass[])
  and not exists (select from pg_constraint where conindid = indexrelid)
"""
SETTLED = (
    "update relay_slots set position = (select max(id) from outbox)",
    """
    insert into ledger_seals (number, account_id, first_version, last_version, leaves, hash, sealed_at)
    select coalesce(max(s.number), 0) + 1, c.id, coalesce(max(s.last_version), 0) + 1, c.version,
           '', '', now()
    from ledger_accounts c left join ledger_seals s on s.account_id = c.id where c.kind = 'company'
    group by c.id, c.version having c.version > coalesce(max(s.last_version), 0)
    """,
    "vacuum analyze",
    "checkpoint",
)
WRONG = """
select (select count(*) from dead_letters) as put_aside,
       (select count(*) from inbox
        where fingerprint <> decode(md5(event_id::text) || md5(event_id::text), 'hex')) - $1::bigint
       as handled_beside,
       (select count(*) from (select entry_id from postings group by entry_id
                              having sum(amount_cents) <> 0 or count(*) <> 2) as e) as unbalanced,
       (select count(*) from ledger_accounts a
        where (a.balance_cents, a.version) <>
              (select coalesce(sum(p.amount_cents), 0), count(*) from postings p where p.account_id = a.id)
       ) as wrong_accounts
"""


async def grow(stage: Stage, filled: int, upto: int) -> int:
    """Fill the ledger up to so many entries, `filled` of which came so before; answers how many do now."""
    connection = await asyncpg.connect(stage.superuser("billing"))
    try:
        await connection.execute(UNCHECKED)
        aside = await connection.fetch(ASIDE)
        for index in aside:
            await connection.execute(f"drop index {index['name']}")
        while (there := await connection.fetchval(POSTED)) < upto:
            until = filled + min(AT_ONCE, upto - there)
            async with connection.transaction():
                await connection.execute(NUMBERED, filled + 1, until, there, ACCOUNTS)
                for statement in FILLED_IN:
                    await connection.execute(statement)
            filled = until
        for index in aside:
            await connection.execute(index["made"])
        for statement in SETTLED:
            await connection.execute(statement)
    finally:
        await connection.close()
    return filled


async def check(stage: Stage, measured: int) -> None:
    connection = await asyncpg.connect(stage.superuser("billing"))
    try:
        wrong = dict(await connection.fetchrow(WRONG, measured))
    finally:
        await connection.close()
    if any(wrong.values()):
        raise RuntimeError(f"the figures are void: {wrong}")


async def measure(sizes: list[int], tasks: int) -> list[dict[str, Any]]:
    found = []
    filled = measured = 0
    async with engines() as stage:
        connection = await asyncpg.connect(stage.superuser("billing"))
        await connection.execute(NUMBERED_ID)
        await connection.close()
        async with service(stage, REGISTRY, "web", "--port", str(stage.layout.web["registry"])):
            ids = await schema_ids(stage)
            await make_topic(stage)
            for seed, size in enumerate(sizes):
                started = time.monotonic()
                filled = await grow(stage, filled, size)
                seconds = round(time.monotonic() - started, 1)
                measured += await fill(stage, facts(tasks, ids, seed))
                found.append({"entries": size, "filled_in_s": seconds, **await consume(stage, 2 * tasks)})
        await check(stage, measured)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--entries", type=int, nargs="+", default=ENTRIES, help="sizes of the ledger, growing"
    )
    parser.add_argument("--tasks", type=int, default=TASKS, help="of each measurement, three facts each")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(sorted(options.entries), options.tasks))
    first, last = (sum(part["processor_us_per_event"].values()) for part in (found[0], found[-1]))
    ratio = round(last / first, 3)
    if options.json:
        print(json.dumps({"benchmark": "growth", "sizes": found, "ratio": ratio, "goal_ratio": GOAL_RATIO}))
        return
    for part in found:
        print(
            f"{part['entries']} entries (filled in {part['filled_in_s']} s): {part['events_per_s']} a second,"
        )
        print(f"  processor per event, microseconds: {part['processor_us_per_event']},")
        print(f"  peak memory of the worker {part['worker_peak_mb']} MB")
    print(f"an event at the largest by one at the smallest: {ratio} (goal: at most {GOAL_RATIO})")


if __name__ == "__main__":
    main()
