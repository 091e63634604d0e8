"""The commands of `./ates`, each a few lines that call the module which does it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local_stack import (
    benchmarking,
    log_files,
    reconciliation,
    service_commands,
    starting,
    testing,
    tokens,
    tracing,
)
from local_stack import chaos as chaotic
from local_stack import night as nights
from local_stack import status as statuses
from local_stack.demo import running as demos
from local_stack.external import DATABASE_SETTING, KAFKA_SETTING, External
from local_stack.home import Home
from local_stack.state import State, running_state
from local_stack.troubles import Trouble

commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A whole task exchange on this machine: engines, services, demo work, nights, tests.",
)
console = Console(highlight=False, soft_wrap=True)


def running(home: Home) -> State:
    state = running_state(home)
    if state is None:
        raise Trouble("The exchange is not running. Start it with ./ates up.")
    return state


@commands.command()
def up(
    *,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when ready; stop with ./ates down.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; all others are chosen free.")] = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Start with an empty exchange.")] = False,
    together: Annotated[bool, typer.Option("--together", help="All services in one process.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar=DATABASE_SETTING,
            help="A PostgreSQL that runs elsewhere, in a role that makes databases.",
        ),
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(envvar=KAFKA_SETTING, help="host:port of a Kafka that runs elsewhere.")
    ] = None,
) -> None:
    """Start PostgreSQL, Kafka, the gateway and every service; wait until all are ready."""
    home = Home.of_environment()
    state = running_state(home)
    if state is not None:
        console.print(f"The exchange is already running: {state.layout.gateway_url}")
        return
    external = External(database_url, kafka)
    state = starting.start(home, console, port=port, detach=detach, external=external, together=together)
    if not no_demo:
        starting.or_stop(home, console, lambda: demos.load_at_first_start(home, state, console))
    console.print(starting.describe(state, home))
    if not detach:
        console.print("Ctrl-C stops it.")
        starting.wait_for_end(home, console)


@commands.command()
def down() -> None:
    """Stop all of it in order; data stays."""
    stopped = starting.stop(Home.of_environment(), console)
    console.print("Stopped." if stopped else "Nothing was running.")


@commands.command()
def reset(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop, and delete all data of this exchange."""
    home = Home.of_environment()
    if not yes and not typer.confirm(f"Delete all data of the exchange in {home.folder}?"):
        raise typer.Exit(1)
    starting.stop(home, console)
    starting.delete_all(home)
    console.print("All data is deleted.")


@commands.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say what runs, where, and whether it is ready."""
    home = Home.of_environment()
    known = statuses.status(home, running(home))
    if as_json:
        print(json.dumps(known, indent=2))
    else:
        statuses.show(known, console)


@commands.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A process, or a service for all its processes.")] = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines.")] = False,
) -> None:
    """Print the logs, merged by time."""
    folder = Home.of_environment().logs
    known = log_files.names(folder)
    if name is not None and not any(stem == name or stem.startswith(f"{name}-") for stem in known):
        raise Trouble(f"There is no log of {name}. There is: {', '.join(known) or 'none yet'}.")
    for line in log_files.read_merged(folder, name):
        print(f"{line.name:<17} {line.text}")
    if follow:
        for line in log_files.follow(folder, name):
            print(f"{line.name:<17} {line.text}", flush=True)


@commands.command()
def demo(
    *,
    days: Annotated[int, typer.Option(min=0, help="Past days of made-up work.")] = demos.DAYS,
    seed: Annotated[int, typer.Option(help="Another seed makes up other work.")] = demos.SEED,
    git: Annotated[Path | None, typer.Option(help="Take the history of this repository instead.")] = None,
) -> None:
    """Fill an empty exchange with people and past days of work."""
    home = Home.of_environment()
    state = running(home)
    if git is not None:
        demos.load_git(home, state, console, git)
    else:
        demos.load_made_up(home, state, console, days=days, seed=seed)


@commands.command()
def night(*, days: Annotated[int, typer.Option(min=1, help="How many nights.")] = 1) -> None:
    """Move the business clock past midnight and wait until the day is closed, paid, written and reported."""
    home = Home.of_environment()
    asyncio.run(nights.play_nights(home, running(home), console, days))


@commands.command()
def token(login: str) -> None:
    """Print a five-minute access token of a demo person, for curl."""
    home = Home.of_environment()
    print(tokens.token_of(home, running(home), login))


@commands.command()
def trace(
    wanted: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of an event, a request, a task, an account or a ledger entry."),
    ],
) -> None:
    """Print the way of an event, a click, a task or a ledger entry: each hop with time, headers and bytes."""
    home = Home.of_environment()
    tracing.trace(home, running(home), wanted, console)


@commands.command()
def reconcile(
    *,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds a difference has to stand before it counts.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Compare tracker, billing and analytics by facts and by sums; exit code 1 on any difference."""
    home = Home.of_environment()
    readers = reconciliation.readers_of(home, running(home))
    with Console(stderr=True).status("Comparing") as status:
        verdict = asyncio.run(reconciliation.reconcile(readers, wait_s=wait, progress=status.update))
    if as_json:
        print(json.dumps(verdict.as_json(), indent=2))
    else:
        reconciliation.report(verdict, console)
    sys.exit(0 if verdict.agree else 1)


# What follows the service is its own, `--help` too.
@commands.command(
    context_settings={
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
    }
)
def run(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="A service; what follows is a command of its own.")],
) -> None:
    """Run a service's own command with its settings: `./ates run billing verify`."""
    home = Home.of_environment()
    sys.exit(service_commands.run(home, running(home), service, context.args))


@commands.command()
def chaos(
    *,
    seed: Annotated[int, typer.Option(help="Draws faults and load; the same seed, the same faults.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.2, help="How long faults strike.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Break an exchange of its own in every way while people work, then check every promise."""
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    outcome = chaotic.play(Home.of_environment(), told, seed=seed, minutes=minutes)
    if as_json:
        print(json.dumps(outcome.as_json(), indent=2))
    else:
        chaotic.report(outcome, console)
    sys.exit(0 if outcome.held else 1)


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run every check and test; with arguments, pytest with these."""
    sys.exit(testing.run_tests(context.args, console))


@commands.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="One benchmark; all when absent.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Run the benchmarks and print their figures; what follows the name of one is for it (NAME -- --help)."""
    sys.exit(benchmarking.run(name, context.args, as_json=as_json))


@commands.command(hidden=True)
def supervise(
    port: int | None = None,
    ends_with: int | None = None,
    *,
    together: Annotated[bool, typer.Option("--together")] = False,
) -> None:
    """Be the supervisor: what `up` starts in the background."""
    from local_stack.supervisor import supervise as run  # noqa: PLC0415 - the other commands need none of it

    sys.exit(run(Home.of_environment(), port, ends_with, together=together))


def main() -> None:
    try:
        commands(prog_name="./ates")
    except Trouble as trouble:
        print(f"ates: {trouble}", file=sys.stderr)
        sys.exit(1)
