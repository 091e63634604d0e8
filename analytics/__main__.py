"""`python -m analytics web | worker | migrate | rebuild`."""

import asyncio
import json
import time
from typing import Annotated

import typer

from analytics import commands
from analytics.settings import AnalyticsSettings
from service_kit.command_line import service_commands
from service_kit.database import Database

run = service_commands("analytics", AnalyticsSettings)


@run.command("rebuild")
def rebuild(
    *, swap: Annotated[bool, typer.Option("--swap", help="Put the rebuilt views in place.")] = False
) -> None:
    """Fold the raw log into new views and say what differs from the live ones; exit code 1 if any."""
    rebuilt = asyncio.run(_rebuild(AnalyticsSettings(), swap=swap))
    typer.echo(f"{rebuilt.events} events folded")
    for view, count in rebuilt.rows.items():
        typer.echo(f"{view}: {count} rows")
    for difference in rebuilt.differences:
        typer.echo(f"differs in {difference.view}:")
        typer.echo(f"  live    {json.dumps(difference.live)}")
        typer.echo(f"  rebuilt {json.dumps(difference.rebuilt)}")
    typer.echo(f"{rebuilt.difference_count} differences" + (", views swapped" if swap else ""))
    if rebuilt.difference_count and not swap:
        raise typer.Exit(1)


async def _rebuild(settings: AnalyticsSettings, *, swap: bool) -> commands.Rebuilt:
    database = Database(settings.database_url.get_secret_value(), pool_size=2, name="analytics-rebuild")
    told = time.monotonic()

    def tell(folded: int, end: int) -> None:
        nonlocal told
        if time.monotonic() - told > 1:
            told = time.monotonic()
            typer.echo(f"{folded} events folded, of a log that ends at {end}", err=True)

    try:
        async with database.transaction() as session:
            return await commands.rebuild_views(session, swap=swap, tell=tell)
    finally:
        await database.close()


if __name__ == "__main__":
    run()
