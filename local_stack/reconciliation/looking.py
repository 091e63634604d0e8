"""Looks until what differs stands still: news on its way is no difference, what stays one is."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from local_stack.credentials import Credentials
from local_stack.environment import database_url
from local_stack.home import Home
from local_stack.reconciliation import facts, sums
from local_stack.reconciliation.snapshots import Difference, Snapshot, snapshots
from local_stack.services import ANALYTICS, BILLING, TRACKER
from local_stack.state import State

DIFFERENCES_MAX = 10_000
SHOWN_MAX = 200
LOOK_EVERY_S = 1.0


@dataclass
class Verdict:
    """What was compared and what differs."""

    compared: dict[str, int] = field(default_factory=dict)
    """Rows by comparison."""
    differences: list[Difference] = field(default_factory=list)
    more: bool = False
    """There are differences beyond those that are listed."""
    looks: int = 0
    seconds: float = 0

    @property
    def agree(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "agree": self.agree,
            "compared": self.compared,
            "looks": self.looks,
            "seconds": round(self.seconds, 2),
            "more": self.more,
            "differences": [difference.as_json() for difference in self.differences],
        }


Comparison = Callable[[], facts.Differences]


def _comparisons(taken: dict[str, Snapshot]) -> Iterator[tuple[str, Comparison]]:
    tracker, billing, analytics = (taken[service.name] for service in (TRACKER, BILLING, ANALYTICS))
    yield "work in the ledger", lambda: facts.work_in_the_ledger(tracker, billing)
    yield "prices in the tracker", lambda: facts.prices_in_the_tracker(tracker, billing)
    yield "facts in analytics", lambda: facts.facts_in_analytics(analytics)
    yield "work in analytics", lambda: facts.work_in_analytics(tracker, analytics)
    yield "entries in analytics", lambda: facts.entries_in_analytics(billing, analytics)
    yield "payouts in analytics", lambda: facts.payouts_in_analytics(billing, analytics)
    yield "letters of payouts", lambda: facts.letters_of_payouts(billing)
    yield "work by account", lambda: sums.work_of_accounts(tracker, billing)
    yield "balances kept", lambda: sums.cached_balances(billing)
    yield "whole ledger", lambda: sums.whole_ledger(billing)
    yield "balances in analytics", lambda: sums.balances(billing, analytics)
    yield "days in analytics", lambda: sums.days(billing, analytics)
    yield "results in analytics", lambda: sums.results(billing, analytics)
    yield "tasks by day in analytics", lambda: sums.task_days(billing, analytics)


def readers_of(home: Home, state: State) -> dict[str, str]:
    """Addresses by service, under the roles that may look at everything and change nothing."""
    credentials = Credentials(home.secrets_file)
    return {
        service.name: database_url(service, "reader", state.layout, credentials)
        for service in (TRACKER, BILLING, ANALYTICS)
    }


async def reconcile(
    readers: dict[str, str], *, wait_s: float, progress: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Compare; what differs in the first look has to stand in every look for `wait_s` seconds."""
    began = time.monotonic()
    verdict = await _look(readers, progress)
    looks = 1
    while verdict.differences and time.monotonic() - began < wait_s:
        progress(f"{len(verdict.differences)} differences, which may only be news on its way")
        await asyncio.sleep(LOOK_EVERY_S)
        again = await _look(readers, progress)
        standing = set(verdict.differences)
        again.differences = [difference for difference in again.differences if difference in standing]
        verdict = again
        looks += 1
    verdict.looks, verdict.seconds = looks, time.monotonic() - began
    return verdict


async def _look(readers: dict[str, str], progress: Callable[[str], None]) -> Verdict:
    verdict = Verdict()
    async with snapshots(readers) as taken:
        for name, comparison in _comparisons(taken):
            count = 0
            async for found in comparison():
                if isinstance(found, int):
                    count += found
                    if count % 5000 == 0:
                        progress(f"{name}: {count:,}")
                elif len(verdict.differences) < DIFFERENCES_MAX:
                    verdict.differences.append(found)
                else:
                    verdict.more = True
            verdict.compared[name] = count
    return verdict


def report(verdict: Verdict, console: Console) -> None:
    for name, count in verdict.compared.items():
        console.print(f"{name:<28} {count:>12,}")
    for difference in verdict.differences[:SHOWN_MAX]:
        console.print(f"[red]{difference.between}[/]: {difference.sentence}  [dim]{difference.what}[/]")
    if verdict.agree:
        console.print("[green]Tracker, billing and analytics agree.[/]")
        return
    kinds = Counter(difference.what for difference in verdict.differences)
    told = ", ".join(f"{count} {what}" for what, count in kinds.most_common())
    plus = " or more" if verdict.more else ""
    console.print(f"[red]{len(verdict.differences)}{plus} differences[/]: {told}")
