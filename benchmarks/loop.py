"""Click to ledger: how long after a click on "complete" the reward is committed in the ledger.

Open loop: clicks are due at a fixed rate whatever the exchange does, and each is measured from the moment it
was due, so that waiting behind a slow click counts (coordinated omission). Visible means that another
connection reads the journal entry. The limits measured beside it are the same click's own HTTP answer and
a commit alone, of which a click waits for two, one after the other.
"""

import argparse
import asyncio
import base64
import json
import math
import os
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2

from benchmarks import ates
from benchmarks._line import Line

GOAL_P99_MS = 100.0
POLL_S = 0.005
ANSWER_S = 30
TOKEN_LIFE_S = 200
COMMIT_EACH_S = 0.05
# Written to the log of the server and waited for like any commit, in no table.
COMMIT_ALONE = "select pg_logical_emit_message(true, 'benchmark', 'nothing')"
NEW_POSTINGS = """
select version, entry_id from postings where account_id = $1 and version > $2 order by version
"""
REWARDS = "select task_id from journal_entries where id = any($1) and kind = 'reward'"


@dataclass
class Clicks:
    """Moments of each click by task, in seconds of the monotonic clock."""

    due: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    visible: dict[str, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)


class Crowd:
    """Tokens of all people who can be given work, by guid."""

    def __init__(self, client: httpx2.AsyncClient, gateway: str, logins: list[str]) -> None:
        self._client = client
        self._gateway = gateway
        self._logins = logins
        self._asked_at = -math.inf
        self._asking = asyncio.Lock()
        self._headers: dict[str, dict[str, str]] = {}
        self.manager: dict[str, str] = {}

    async def refresh(self) -> None:
        """Ask for new tokens when the old ones may end soon; whoever comes meanwhile waits for them."""
        async with self._asking:
            await self._refresh()

    async def _refresh(self) -> None:
        if time.monotonic() - self._asked_at < TOKEN_LIFE_S:
            return
        for login in self._logins:
            token = await asyncio.to_thread(ates, "token", login)
            headers = {"Authorization": f"Bearer {token.strip()}", "Accept": "application/json"}
            self._headers[guid_in(token.strip())] = headers
            if login == "manager":
                self.manager = headers
        self._asked_at = time.monotonic()

    def of(self, guid: str) -> dict[str, str]:
        return self._headers[guid]


async def make_tasks(
    client: httpx2.AsyncClient, crowd: Crowd, gateway: str, count: int
) -> list[tuple[str, str]]:
    """(task, assignee) of fresh tasks that are not completed yet."""
    tasks: list[tuple[str, str]] = []
    gate = asyncio.Semaphore(8)

    async def make(number: int) -> None:
        async with gate:
            await crowd.refresh()
            answer = await client.post(
                f"{gateway}/tracker/api/v1/tasks",
                json={"title": f"Load {number}"},
                headers=crowd.manager,
            )
            answer.raise_for_status()
            task = answer.json()
            tasks.append((task["id"], task["assignee_id"]))

    await asyncio.gather(*(make(number) for number in range(count)))
    return tasks


class Lines:
    """Lines to the gateway, as many as are needed at a time; the one used last is taken first."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._free: list[Line] = []

    async def post(self, path: str, headers: dict[str, str]) -> int:
        line = self._free.pop() if self._free else await Line.to(self._gateway)
        status, _body = await line.post(path, headers)
        self._free.append(line)
        return status

    def close(self) -> None:
        for line in self._free:
            line.close()


async def click(lines: Lines, crowd: Crowd, clicks: Clicks, task: str, guid: str, due: float) -> None:
    clicks.due[task] = due
    try:
        async with asyncio.timeout(ANSWER_S):
            status = await lines.post(f"/tracker/api/v1/tasks/{task}/complete", crowd.of(guid))
    except (OSError, EOFError) as error:
        clicks.failures[type(error).__name__] += 1
        return
    if status == httpx2.codes.OK:
        clicks.answered[task] = time.monotonic()
    else:
        clicks.failures[str(status)] += 1


async def watch_ledger(dsn: str, clicks: Clicks, expected: int) -> None:
    """Note when each reward can be read by somebody else."""
    connection = await asyncpg.connect(dsn)
    # Every entry has a posting of the company, whose versions follow the commits: each look reads what is
    # new, and costs the same however long the journal is.
    company, seen = await connection.fetchrow(
        "select id, version from ledger_accounts where kind = 'company'"
    )
    try:
        while len(clicks.visible) < expected - sum(clicks.failures.values()):
            # Mostly there is nothing new, so that is asked as cheaply as can be.
            new = await connection.fetch(NEW_POSTINGS, company, seen)
            now = time.monotonic()
            if new:
                seen = new[-1]["version"]
                for row in await connection.fetch(REWARDS, [posting["entry_id"] for posting in new]):
                    clicks.visible.setdefault(str(row["task_id"]), now)
            await asyncio.sleep(POLL_S)
    finally:
        await connection.close()


async def commit_alone(dsn: str, took_ms: list[float]) -> None:
    """Until cancelled: how long the engine takes to make the least there is durable, beside all else."""
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            started = time.monotonic()
            await connection.execute(COMMIT_ALONE)
            took_ms.append((time.monotonic() - started) * 1000)
            await asyncio.sleep(COMMIT_EACH_S)
    finally:
        await connection.close()


async def measure(rate: float, seconds: float) -> dict[str, Any]:
    status = json.loads(ates("status", "--json"))
    gateway = status["gateway"]
    logins = ["manager", "accountant", *(f"worker{n}" for n in range(1, 6))]
    clicks = Clicks()
    async with httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=64)) as client:
        crowd = Crowd(client, gateway, logins)
        tasks = await make_tasks(client, crowd, gateway, round(rate * seconds))
        await crowd.refresh()
        watching = asyncio.create_task(watch_ledger(status["readers"]["billing"], clicks, len(tasks)))
        commits_ms: list[float] = []
        committing = asyncio.create_task(commit_alone(status["databases"]["billing"], commits_ms))
        lines = Lines(gateway)
        first = time.monotonic() + 1
        under_way = []
        for number, (task, guid) in enumerate(tasks):
            due = first + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            under_way.append(asyncio.create_task(click(lines, crowd, clicks, task, guid, due)))
        await asyncio.gather(*under_way)
        lines.close()
        await asyncio.wait_for(watching, 60)
        committing.cancel()
    return figures(clicks, commits_ms, rate, seconds)


def figures(clicks: Clicks, commits_ms: list[float], rate: float, seconds: float) -> dict[str, Any]:
    to_ledger = [
        (seen - clicks.due[task]) * 1000 for task, seen in clicks.visible.items() if task in clicks.due
    ]
    to_answer = [(seen - clicks.due[task]) * 1000 for task, seen in clicks.answered.items()]
    ledger = percentiles(to_ledger)
    return {
        "benchmark": "loop",
        "rate_per_s": rate,
        "seconds": seconds,
        "clicks": len(clicks.due),
        "failed": dict(clicks.failures),
        "lost": len(clicks.answered) - len(to_ledger),
        "click_to_answer_ms": percentiles(to_answer),
        "click_to_ledger_ms": ledger,
        "commit_alone_ms": percentiles(commits_ms),
        "goal_p99_ms": GOAL_P99_MS,
        "p99_by_goal": round(ledger["p99"] / GOAL_P99_MS, 3),
        "cores": os.cpu_count(),
    }


def percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return {
        "p50": round(cuts[499], 1),
        "p95": round(cuts[949], 1),
        "p99": round(cuts[989], 1),
        "max": round(max(values), 1),
    }


def guid_in(token: str) -> str:

    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["guid"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="clicks per second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rate, options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    for name in ("click_to_answer_ms", "click_to_ledger_ms", "commit_alone_ms"):
        print(f"{name:20} " + "  ".join(f"{key} {value}" for key, value in found[name].items()))
    print(f"clicks {found['clicks']}  failed {found['failed'] or 0}  lost {found['lost']}")
    print(f"p99 / goal of {GOAL_P99_MS:.0f} ms: {found['p99_by_goal']}")


if __name__ == "__main__":
    main()
