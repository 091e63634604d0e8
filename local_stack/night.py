"""`night`: the business clock jumps past midnight, and the day is closed, paid, written and reported."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from local_stack import clock
from local_stack.client import Client, connect
from local_stack.delivery import Delivery
from local_stack.environment import adjusted
from local_stack.home import Home
from local_stack.money import dollars
from local_stack.state import State
from local_stack.troubles import Trouble

# Past midnight by more than the time for which billing waits for stragglers.
_PAST_MIDNIGHT = timedelta(seconds=5)

_POLL_S = 0.1
_WITHIN_S = 120


def business_zone() -> ZoneInfo:
    return ZoneInfo(adjusted("ATES_BUSINESS_TIME_ZONE"))


async def play_nights(home: Home, state: State, console: Console, nights: int) -> None:
    zone = business_zone()
    async with connect(home, state) as client, Delivery(home, state) as delivery:
        for _ in range(nights):
            ending = clock.business_now(home).astimezone(zone).date()
            with console.status(f"The night after {ending}"):
                await delivery.complete()
                clock.move_to(home, past_midnight(ending, zone))
                if not await _anything_on_record(client):
                    console.print(
                        f"{ending}: nothing has been earned or charged yet, so there is no day to close."
                    )
                    continue
                books, reported = await closed_and_reported(client, ending)
                await delivery.complete()
            console.print(_result(ending, books, reported))
            if home.letters.exists():
                console.print(f"Letters: {home.letters}")


def past_midnight(ending: date, zone: ZoneInfo) -> datetime:
    """The moment at which the day `ending` is surely due to be closed."""
    delay = timedelta(seconds=float(adjusted("BILLING_CLOSE_DELAY_S")))
    return clock.start_of(ending + timedelta(days=1), zone) + delay + _PAST_MIDNIGHT


async def closed_and_reported(
    client: Client, day: date, within_s: float = _WITHIN_S
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The day as billing closed it and as analytics reports it, as soon as both have done so."""

    async def reported() -> dict[str, Any] | None:
        found = await client.get("admin", "/analytics/api/v1/days", **{"from": str(day), "to": str(day)})
        return next((item for item in found["items"] if item["closed"]), None)

    deadline = time.monotonic() + within_s
    return (
        await closed(client, day, within_s),
        await _eventually(
            reported, deadline, f"analytics has no result of {day}; see ./ates logs analytics."
        ),
    )


async def closed(client: Client, day: date, within_s: float = _WITHIN_S) -> dict[str, Any]:
    """The day as billing closed it, as soon as it has."""

    async def found_closed() -> dict[str, Any] | None:
        found = await client.get("admin", f"/billing/api/v1/days/{day}")
        return found if found and found["state"] == "closed" else None

    deadline = time.monotonic() + within_s
    return await _eventually(
        found_closed, deadline, f"billing has not closed {day}; see ./ates logs billing."
    )


async def _eventually(
    ask: Callable[[], Awaitable[dict[str, Any] | None]], deadline: float, otherwise: str
) -> dict[str, Any]:
    while True:
        answer = await ask()
        if answer is not None:
            return answer
        if time.monotonic() > deadline:
            raise Trouble(otherwise)
        await asyncio.sleep(_POLL_S)


async def _anything_on_record(client: Client) -> bool:
    days = await client.get("admin", "/billing/api/v1/days", limit=1)
    return bool(days["items"])


def _result(day: date, books: dict[str, Any], reported: dict[str, Any]) -> Table:
    table = Table(title=f"{day} is closed", show_header=False, box=None, title_justify="left")
    table.add_column(style="dim")
    table.add_column(justify="right")
    dearest = reported["max_cost_task_cents"]
    rows = {
        "income": dollars(books["income_cents"]),
        "fees": dollars(books["fees_cents"]),
        "rewards": dollars(books["rewards_cents"]),
        "paid out": f"{dollars(books['payouts_cents'])} to {books['payout_count']}",
        "debts carried": dollars(books["carried_debt_cents"]),
        "late entries": str(books["late_count"]),
        "dearest task": "-" if dearest is None else dollars(dearest),
        "tasks in profit / deficit": f"{reported['task_count_profit']} / {reported['task_count_deficit']}",
        "accounts below zero": str(reported["accounts_negative"]),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
