"""`python -m billing web | worker | migrate | verify | replay`."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Protocol

import typer

from billing import queries
from billing.commands import replaying
from billing.consumers import router
from billing.events import SAYS
from billing.settings import BillingSettings
from service_kit import telemetry
from service_kit.clock import FixedClock, SystemClock
from service_kit.collecting import leave_alone_what_is_loaded
from service_kit.command_line import service_commands
from service_kit.context import Context
from service_kit.database import Database
from service_kit.dead_letters import redrive_topic
from service_kit.rereading import Rereader, Said
from service_kit.schema_client import SchemaClient

commands = service_commands("billing", BillingSettings)


@commands.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(help="Hash that an earlier run told: nothing sealed by then may have changed since."),
    ] = None,
) -> None:
    """Recompute everything from the journal and say what differs; exit code 1 if anything does."""
    try:
        known_head = bytes.fromhex(head) if head is not None else None
    except ValueError as error:
        raise typer.BadParameter("a hash is 64 hexadecimal digits", param_hint="--head") from error
    chain = queries.Chain()
    leave_alone_what_is_loaded()
    problems = asyncio.run(_differences(BillingSettings(), chain, known_head))
    for problem in problems:
        typer.echo(problem)
    typer.echo(
        f"{chain.blocks} sealed blocks, {chain.unsealed} entries not sealed yet, head {chain.head.hex()}"
    )
    typer.echo("The ledger agrees with its journal." if not problems else f"{len(problems)} differences.")
    if problems:
        raise typer.Exit(1)


async def _differences(
    settings: BillingSettings, chain: queries.Chain, known_head: bytes | None
) -> list[str]:
    database = Database(settings.database_url.get_secret_value(), pool_size=2, name="billing-verify")
    try:
        async with database.reading() as session:
            return await queries.differences(session, chain, known_head=known_head)
    finally:
        await database.close()


@commands.command()
def replay(
    begin: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First business day; all of them when absent."),
    ] = None,
    *,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="If only kept sums differ, put the replayed ones in their place."),
    ] = False,
) -> None:
    """Write the ledger again from the topics, beside the live one; exit code 1 if the two differ."""
    first = begin.date() if begin is not None else None
    leave_alone_what_is_loaded()
    telemetry.configure_logging("billing", "replay", "WARNING")
    try:
        progress, found, repaired = asyncio.run(_replay(BillingSettings(), first, repair=repair))
    except replaying.NoFirmGround as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(
        f"{progress.facts} facts read, {progress.position} entries posted, {progress.days} days closed"
    )
    for table, count in found.rows.items():
        typer.echo(f"{table}: {count} rows, {found.counts[table]} differences")
    for difference in found.differences:
        typer.echo(f"differs in {difference.table}: {difference.subject}")
        typer.echo(f"  live     {json.dumps(difference.live)}")
        typer.echo(f"  replayed {json.dumps(difference.replayed)}")
    if repaired:
        typer.echo("The sums kept with the accounts are now those of the replay.")
    elif found.agree:
        typer.echo("The replay gives the live ledger, row by row.")
    elif repair:
        typer.echo("Nothing was repaired: history differs, and history is corrected by entries alone.")
    if not found.agree and not repaired:
        raise typer.Exit(1)


class Facts(Protocol):
    """Where a replay reads what was said."""

    def unread(self) -> AsyncIterator[Sequence[Said]]:
        """What is there at this moment and was not answered before, a few thousand at a time."""


async def _replay(
    settings: BillingSettings, begin: date | None, *, repair: bool
) -> tuple[replaying.Progress, replaying.Comparison, bool]:
    schemas = SchemaClient.configured(settings)
    await schemas.load(SAYS)
    context = Context(settings, FixedClock(SystemClock.of(settings).now()), schemas)
    url = settings.database_url.get_secret_value()
    database = Database(url, pool_size=2, context=context, name="billing-replay")
    told = time.monotonic()

    def tell(progress: replaying.Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 1:
            told = time.monotonic()
            typer.echo(f"{progress.facts} facts read, {progress.position} of {progress.end} posted", err=True)

    # What was put aside acted as it came back, repaired perhaps.
    router.also_read(redrive_topic(settings.name))
    try:
        async with Rereader.open(settings, router) as facts:
            return await replay_ledger(database, facts, begin, repair=repair, tell=tell)
    finally:
        await database.close()


async def replay_ledger(
    database: Database,
    facts: Facts,
    begin: date | None,
    *,
    repair: bool = False,
    tell: Callable[[replaying.Progress], None] = lambda _: None,
) -> tuple[replaying.Progress, replaying.Comparison, bool]:
    """Replay, stretch by stretch, in short transactions; the live ledger goes on until the last stretch.

    For what came meanwhile, and for the comparison, its posters and closers wait. The last of the answer
    says whether sums were repaired.
    """
    async with database.one_connection() as connection:

        async def read_on() -> None:
            async for events in facts.unread():
                async with connection.transaction() as session:
                    await replaying.keep_facts(session, progress, events)
                tell(progress)

        async with connection.transaction() as session:
            progress = await replaying.make_shadow(session, begin)
            await replaying.note_end(session, progress)
        await read_on()
        async with connection.transaction() as session:
            await replaying.settle_order(session)
            await replaying.refuse_missing_beginning(session, progress)
        more = True
        while more:
            async with connection.transaction() as session:
                more = await replaying.replay_some(session, progress)
            tell(progress)
        async with connection.transaction() as session:
            await replaying.replay_rest(session, router.handle, money=False)
        await read_on()
        async with connection.transaction() as session:
            await replaying.hold_live(session)
            await replaying.note_end(session, progress)
            async for events in facts.unread():
                await replaying.keep_facts(session, progress, events)
            await replaying.settle_order(session)
            while await replaying.replay_some(session, progress):
                tell(progress)
            for money in (False, True):
                await replaying.replay_rest(session, router.handle, money=money)
            found = await replaying.compare(session, progress)
            repaired = repair and not found.agree and found.repairable
            if repaired:
                await replaying.repair_sums(session)
    return progress, found, repaired


if __name__ == "__main__":
    commands()
