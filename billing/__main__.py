"""`python -m billing web | worker | migrate | verify`."""

import asyncio

import typer

from billing import queries
from billing.settings import BillingSettings
from service_kit.command_line import service_commands
from service_kit.database import Database

commands = service_commands("billing", BillingSettings)


@commands.command()
def verify() -> None:
    """Recompute everything from the journal and say what differs; exit code 1 if anything does."""
    problems = asyncio.run(_differences(BillingSettings()))
    for problem in problems:
        typer.echo(problem)
    typer.echo("The ledger agrees with its journal." if not problems else f"{len(problems)} differences.")
    if problems:
        raise typer.Exit(1)


async def _differences(settings: BillingSettings) -> list[str]:
    database = Database(settings.database_url.get_secret_value(), pool_size=1, name="billing-verify")
    try:
        async with database.reading() as session:
            return await queries.differences(session)
    finally:
        await database.close()


if __name__ == "__main__":
    commands()
