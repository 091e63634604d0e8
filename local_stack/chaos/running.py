"""One run: start an exchange of its own, load and faults together, quiet, checks, report."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import asyncpg
import httpx2
import psutil
from rich.console import Console

from local_stack import status as statuses
from local_stack.chaos.checks import Findings, check
from local_stack.chaos.faults import Storm
from local_stack.chaos.lines import Line, lines_between, open_line
from local_stack.chaos.load import Crowd
from local_stack.chaos.schedule import Fault, Parts, drawn
from local_stack.client import connect
from local_stack.credentials import Credentials
from local_stack.delivery import Delivery
from local_stack.environment import database_url
from local_stack.home import ROOT, Home
from local_stack.layout import LINES_SETTING
from local_stack.ports import PortChooser
from local_stack.services import BILLING, SERVICES
from local_stack.state import State, running_state
from local_stack.troubles import Trouble

_QUIET_WITHIN_S = 300
_POLL_S = 0.5


@dataclass
class Outcome:
    seed: int
    seconds: float
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    timeline: list[str] = field(default_factory=list)
    recovered_s: float = 0
    """From the last fault until everything had had its effect."""
    problems: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {"held": self.held, **asdict(self)}


def play(home: Home, console: Console, *, seed: int, minutes: float) -> Outcome:
    """Run in a folder of its own beside the exchange of `home`, which it leaves alone.

    The folder stays when something did not hold, and is deleted otherwise.
    """
    own = Home(home.folder / "chaos")
    if running_state(own) is not None:
        raise Trouble(f"A chaos run is under way in {own.folder}.")
    shutil.rmtree(own.folder, ignore_errors=True)
    console.print(f"An exchange of its own in {own.folder}; seed {seed}")
    outcome = Outcome(seed, minutes * 60)
    try:
        asyncio.run(_start_and_play(own, outcome, console))
    except Exception as error:
        outcome.problems.append(f"the run itself failed: {type(error).__name__}: {error}")
        raise
    finally:
        (own.folder / "chaos.json").write_text(json.dumps(outcome.as_json(), indent=2))
    if outcome.held:
        shutil.rmtree(own.folder, ignore_errors=True)
    return outcome


async def _start_and_play(home: Home, outcome: Outcome, console: Console) -> None:
    """The lines between the parts stand before any part does, and carry until the last has ended."""

    def behind(name: str) -> tuple[str, int]:
        state = State.read(home)
        if state is None:
            raise ConnectionError(f"nothing is behind {name} yet")
        return state.layout.behind(name)

    async with AsyncExitStack() as stack:
        ports = PortChooser()
        lines = {
            name: await stack.enter_async_context(open_line(partial(behind, name), ports.draw()))
            for name in lines_between(SERVICES)
        }
        told = json.dumps({name: line.port for name, line in lines.items()})
        up = partial(_ates, home, "up", "--detach", "--port", str(ports.draw()), "--no-demo")
        try:
            await asyncio.to_thread(up, environment={LINES_SETTING: told})
            state = running_state(home)
            if state is None:
                raise Trouble(f"The exchange ended right after its start; see {home.logs}.")
            await _storm_and_check(home, state, lines, outcome, console)
        finally:
            await asyncio.to_thread(_ates, home, "down", check=False)


def _ates(
    home: Home, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments],
        cwd=ROOT,
        env=os.environ | {"ATES_HOME": str(home.folder)} | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if check and ran.returncode != 0:
        raise Trouble(f"./ates {' '.join(arguments)} failed: {ran.stderr.strip()[-1000:]}")


async def _storm_and_check(
    home: Home, state: State, lines: Mapping[str, Line], outcome: Outcome, console: Console
) -> None:
    parts = Parts(
        processes=[name for service in SERVICES for name in service.processes] + ["gateway"],
        services=[service.name for service in SERVICES],
        # Work goes over the lines to the engines all the time, over most others now and then.
        lines=[*lines, *(2 * [name for name in lines if name.endswith(("-postgres", "-kafka"))])],
    )
    plan = drawn(outcome.seed, outcome.seconds, parts)
    storm = Storm(home, state, lines)
    # People's tokens come straight: whoever waits for one works nothing.
    straight = replace(state, layout=replace(state.layout, lines={}))
    async with connect(home, straight) as client:
        crowd = Crowd(client, outcome.seed)
        await crowd.hire()
        closer = asyncio.create_task(storm.keep_second_closer())
        working = asyncio.create_task(crowd.work())
        try:
            await _strike_all(storm, plan, outcome, console)
            if working.done():
                # Faults without load prove nothing.
                await working
        finally:
            working.cancel()
            storm.end_what_passes()
            await asyncio.gather(working, return_exceptions=True)
            closer.cancel()
            await asyncio.gather(closer, return_exceptions=True)
    outcome.faults, outcome.missed = dict(storm.done), dict(storm.missed)
    outcome.refused = dict(crowd.promises.refused)
    with console.status("Quiet now; what is under way arrives"):
        began = time.monotonic()
        await _become_quiet(home, state)
        outcome.recovered_s = round(time.monotonic() - began, 1)
        await asyncio.to_thread(_ates, home, "night")
        await _everything_written(home, state)
    with console.status("Checking every promise"):
        found: Findings = await check(home, state, crowd.promises)
    outcome.counts, outcome.problems = found.counts, found.problems


async def _strike_all(storm: Storm, plan: list[Fault], outcome: Outcome, console: Console) -> None:
    began = time.monotonic()
    for fault in plan:
        await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - began)))
        await storm.strike(fault)
        outcome.timeline.append(str(fault))
        console.print(str(fault), style="dim")
    await asyncio.sleep(max(0.0, outcome.seconds - (time.monotonic() - began)))


async def _become_quiet(home: Home, state: State) -> None:
    """All processes are ready, and every fact said so far has had its effect. Raises `Trouble` in the end."""
    deadline = time.monotonic() + _QUIET_WITHIN_S
    reason = "the exchange did not become ready"
    while time.monotonic() < deadline:
        with suppress(psutil.Error, httpx2.HTTPError, OSError):
            current = State.read(home) or state
            known = await asyncio.to_thread(statuses.status, home, current)
            waiting = [one["name"] for one in known["processes"] if not one["ready"]]
            reason = f"not ready: {', '.join(waiting)}"
            if not waiting:
                try:
                    async with Delivery(home, state) as delivery:
                        await delivery.complete(within_s=max(1.0, deadline - time.monotonic()))
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    reason = f"delivery could not be looked at: {error}"
                else:
                    return
        await asyncio.sleep(_POLL_S)
    raise Trouble(f"No quiet within {_QUIET_WITHIN_S} s after the last fault: {reason}")


async def _everything_written(home: Home, state: State) -> None:
    """Letters are files and entries are sealed."""
    url = database_url(BILLING, "reader", state.layout, Credentials(home.secrets_file))
    connection = await asyncpg.connect(url)
    deadline = time.monotonic() + _QUIET_WITHIN_S
    left = """
    select (select count(*) from letters where state = 'queued') + (select count(*) from journal_entries)
         - (select coalesce(sum(last_version - first_version + 1), 0) from ledger_seals)
    """
    try:
        while await connection.fetchval(left):
            if time.monotonic() > deadline:
                raise Trouble("Letters or seals are not written; see ./ates logs billing.")
            await asyncio.sleep(_POLL_S)
    finally:
        await connection.close()


def report(outcome: Outcome, console: Console) -> None:
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.faults.items()))
    console.print(f"seed {outcome.seed}, {outcome.seconds:.0f} s: {faults}")
    for name, count in outcome.counts.items():
        console.print(f"{name:<18} {count:>10,}")
    console.print(
        f"quiet again after {outcome.recovered_s} s; calls that got no good answer: {outcome.refused}"
    )
    if outcome.held:
        console.print("[green]Every promise held.[/]")
        return
    for line in outcome.timeline:
        console.print(line)
    console.print(f"[red]{len(outcome.problems)} promises broken with seed {outcome.seed}; the first:[/]")
    for problem in outcome.problems[:20]:
        console.print(problem)
