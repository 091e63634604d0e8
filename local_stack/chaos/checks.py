"""What has to hold when all is quiet again, each checked in the databases, by a role that may only look."""

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from local_stack import reconciliation
from local_stack.chaos.load import Promises
from local_stack.credentials import Credentials
from local_stack.environment import database_url
from local_stack.home import ROOT, Home
from local_stack.services import ANALYTICS, AUTH, BILLING, SERVICES, TRACKER, Service
from local_stack.state import State

# Who hears which facts. What is said under one event id in two versions is one fact.
_HEARD = (
    (AUTH, TRACKER, ("AccountCreated", "AccountRoleChanged", "AccountBlocked")),
    (AUTH, BILLING, ("AccountCreated",)),
    (AUTH, ANALYTICS, ("AccountCreated", "AccountRoleChanged", "AccountBlocked")),
    (TRACKER, BILLING, ("TaskCreated", "TaskUpdated", "TaskAssigned", "TaskCompleted")),
    (TRACKER, ANALYTICS, ("TaskCreated", "TaskUpdated", "TaskAssigned", "TaskCompleted")),
    (BILLING, TRACKER, ("TaskPriced",)),
    (BILLING, ANALYTICS, ("EntryPosted", "PayoutMade", "DayResult")),
)
# In the order in which they were said: ids of other tables are drawn before the lock of the task is held.
_ORDER_DONE = """
select key::uuid as task_id, case name when 'TaskAssigned' then 'assigned' else 'completed' end as kind,
       (convert_from(data, 'utf8')::json ->> 'cycle')::int as cycle
from outbox where name in ('TaskAssigned', 'TaskCompleted') order by id
"""
_ORDER_POSTED = """
select e.task_id, case e.kind when 'fee' then 'assigned' else 'completed' end as kind, e.cycle
from postings c join journal_entries e on e.id = c.entry_id
join ledger_accounts a on a.id = c.account_id and a.kind = 'company'
where e.task_id is not null order by e.task_id, c.version
"""


@dataclass
class Findings:
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """Sentences; the first one is where to look first."""


async def check(home: Home, state: State, promises: Promises) -> Findings:
    credentials = Credentials(home.secrets_file)
    found = Findings()
    readers: dict[str, asyncpg.Connection] = {}
    try:
        for service in SERVICES:
            url = database_url(service, "reader", state.layout, credentials)
            readers[service.name] = await asyncpg.connect(url)
        await _promises(readers[TRACKER.name], promises, found)
        for producer, consumer, names in _HEARD:
            await _heard_once(readers, producer, consumer, names, found)
        await _order(readers, found)
        await _days_and_letters(home, readers[BILLING.name], found)
        await _dead_letters(readers, found)
    finally:
        for connection in readers.values():
            await connection.close()
    verdict = await reconciliation.reconcile(reconciliation.readers_of(home, state), wait_s=5)
    found.problems += [f"reconcile: {difference.sentence}" for difference in verdict.differences[:20]]
    found.counts["rows reconciled"] = sum(verdict.compared.values())
    for command in ("verify", "replay"):
        found.problems += await asyncio.to_thread(_own_command, home, command)
    return found


async def _promises(tracker: asyncpg.Connection, promises: Promises, found: Findings) -> None:
    """An answer that somebody got is true for ever."""
    rows = await tracker.fetch("select id, status from tasks")
    status = {str(row["id"]): row["status"] for row in rows}
    lost = [task for task in promises.created if task not in status]
    undone = [task for task in promises.completed if status.get(task) != "done"]
    found.problems += [f"task {task} was created by an answer and is gone" for task in lost]
    found.problems += [f"task {task} was completed by an answer and is not done" for task in undone]
    found.counts |= {
        "tasks created": len(promises.created),
        "tasks completed": len(promises.completed),
        "answers lost": len(lost) + len(undone),
    }


async def _heard_once(
    readers: dict[str, asyncpg.Connection],
    producer: Service,
    consumer: Service,
    names: tuple[str, ...],
    found: Findings,
) -> None:
    said = {
        row["event_id"]: row["name"]
        for row in await readers[producer.name].fetch(
            "select distinct event_id, name from outbox where name = any($1)", list(names)
        )
    }
    heard = {
        row["event_id"]
        for row in await readers[consumer.name].fetch(
            "select event_id from inbox where name = any($1)", list(names)
        )
    }
    hears = {row["name"] for row in await readers[consumer.name].fetch("select distinct name from inbox")}
    # A fact that a consumer never hears at all is none of its business.
    lost = [event_id for event_id, name in said.items() if event_id not in heard and name in hears]
    alien = heard - said.keys()
    found.problems += [
        f"{said[e]} {e} of {producer.name} was lost on its way to {consumer.name}" for e in lost
    ]
    found.problems += [f"{consumer.name} acted on {e}, which {producer.name} never said" for e in alien]
    found.counts["facts said"] = found.counts.get("facts said", 0) + len(said)
    found.counts["facts lost"] = found.counts.get("facts lost", 0) + len(lost)


async def _order(readers: dict[str, asyncpg.Connection], found: Findings) -> None:
    """Facts of one task are posted in the order in which they happened, each once."""
    done: dict[UUID, list[tuple[str, int]]] = defaultdict(list)
    posted: dict[UUID, list[tuple[str, int]]] = defaultdict(list)
    for row in await readers[TRACKER.name].fetch(_ORDER_DONE):
        done[row["task_id"]].append((row["kind"], row["cycle"]))
    for row in await readers[BILLING.name].fetch(_ORDER_POSTED):
        posted[row["task_id"]].append((row["kind"], row["cycle"]))
    twice = sum(len(entries) - len(set(entries)) for entries in posted.values())
    inverted = [
        task
        for task, facts in done.items()
        if posted[task] != facts and sorted(posted[task]) == sorted(facts)
    ]
    found.problems += [f"facts of task {task} were posted in another order" for task in inverted]
    if twice:
        found.problems.append(f"{twice} facts were posted twice")
    found.counts |= {
        "entries": sum(map(len, posted.values())),
        "posted twice": twice,
        "out of order": len(inverted),
    }


async def _days_and_letters(home: Home, billing: asyncpg.Connection, found: Findings) -> None:
    """Each day is closed and told once; as many letters as payouts, each of them a file."""
    told = await billing.fetch(
        "select key, version, count(*) as times from outbox where name = 'DayResult' group by 1, 2"
    )
    found.problems += [
        f"the result of {row['key']} was told {row['times']} times" for row in told if row["times"] != 1
    ]
    closed = await billing.fetchval("select count(*) from days where state = 'closed'")
    if 2 * closed != len(told):
        found.problems.append(f"{closed} days are closed and {len(told)} results were told, two of each")
    payouts = await billing.fetchval("select count(*) from payouts")
    letters = await billing.fetchval("select count(*) from letters where state = 'written'")
    files = sum(1 for _ in home.letters.glob("*/*.eml"))
    if not payouts == letters == files:
        found.problems.append(
            f"{payouts} payouts, {letters} letters on record, {files} letters in the folder"
        )
    late = await billing.fetchval("select count(*) from journal_entries where late")
    found.counts |= {"days closed": closed, "payouts": payouts, "letters": files, "late entries": late}


async def _dead_letters(readers: dict[str, asyncpg.Connection], found: Findings) -> None:
    for name, connection in readers.items():
        for row in await connection.fetch("select reason, detail from dead_letters limit 5"):
            found.problems.append(f"{name} put an event aside: {row['reason']}: {row['detail']}")


def _own_command(home: Home, command: str) -> list[str]:
    """`billing verify` checks books and chain of hashes, `billing replay` writes the ledger once more."""
    ran = subprocess.run(
        [sys.executable, "-m", "local_stack", "run", BILLING.name, command],
        cwd=ROOT,
        env=os.environ | {"ATES_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 0:
        return []
    words = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()][-12:]
    return [f"billing {command}: {line}" for line in words]
