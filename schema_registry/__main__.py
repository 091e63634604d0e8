"""`python -m schema_registry web | migrate | check | seal | events | export | import`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from pydantic import ValidationError

from schema_registry import commands as registry_commands
from schema_registry import queries
from schema_registry.domain.checks import problems, seal
from schema_registry.domain.contexts import DEFAULT, context_name
from schema_registry.domain.contracts import ContractError, read_contracts
from schema_registry.domain.errors import RegistryError
from schema_registry.domain.event_map import event_map
from schema_registry.domain.moving import Export, Moved, MoveError, into_context
from schema_registry.settings import OWN_SCHEMAS, RegistrySettings
from service_kit.command_line import service_commands
from service_kit.database import Database

ROOT = OWN_SCHEMAS.parent.parent
SAMPLES = ROOT / "tests" / "contracts" / "samples"
EVENT_MAP = ROOT / "docs" / "events.md"

commands = service_commands("schema_registry", RegistrySettings, has_worker=False)

Schemas = Annotated[Path, typer.Option(help="Folder of the contract files.")]


@commands.command("check")
def check(
    schemas: Schemas = OWN_SCHEMAS,
    samples: Annotated[Path, typer.Option(help="Folder of the golden samples.")] = SAMPLES,
    against: Annotated[str, typer.Option(help="Git revision whose sealed files must still be sealed.")] = "",
) -> None:
    """Refuse changed files, incompatible versions and events without samples."""
    found = problems(schemas, samples, against or None)
    for problem in found:
        typer.echo(problem, err=True)
    if found:
        sys.exit(1)
    typer.echo(
        f"{sum(len(one.versions) for one in read_contracts(schemas))} contracts are as they were published."
    )


@commands.command("seal")
def publish(schemas: Schemas = OWN_SCHEMAS) -> None:
    """Publish new files: from now on they never change."""
    try:
        added = seal(schemas)
    except ContractError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    typer.echo("\n".join(added) or "Nothing new.")


@commands.command("events")
def events(
    schemas: Schemas = OWN_SCHEMAS,
    target: Annotated[Path, typer.Option(help="File to write.")] = EVENT_MAP,
    *,
    check_only: Annotated[
        bool, typer.Option("--check", help="Only say whether the file is up to date.")
    ] = False,
) -> None:
    """Write the event map: who says what, in which fields, and who listens."""
    text = event_map(read_contracts(schemas))
    if check_only:
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            typer.echo(f"{target} is out of date: run python -m schema_registry events", err=True)
            sys.exit(1)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


@commands.command("export")
def export(
    target: Annotated[Path | None, typer.Argument(help="File to write; the screen without it.")] = None,
) -> None:
    """Write everything the registry holds, ids and deleted versions included."""
    found = asyncio.run(_exported())
    text = found.model_dump_json(by_alias=True, exclude_none=True, indent=1)
    if target is None:
        typer.echo(text)
        return
    target.write_text(text + "\n", encoding="utf-8")
    typer.echo(f"{len(found.versions)} versions and {len(found.settings)} settings.", err=True)


@commands.command("import")
def bring_in(
    source: Annotated[str, typer.Argument(help="File of an export, or the address of another registry.")],
    context: Annotated[str, typer.Option(help="Context to bring it into.")] = DEFAULT,
    token: Annotated[str, typer.Option(envvar="SOURCE_TOKEN", help="Bearer token for the address.")] = "",
) -> None:
    """Bring in an export, or another registry of the same protocol; ids are kept, what is there stays."""
    try:
        file = None if source.startswith(("http://", "https://")) else Path(source).read_bytes()
        found = asyncio.run(_brought_in(source, file, context, token))
    except (MoveError, RegistryError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except (OSError, ValidationError) as error:
        typer.echo(f"{source} cannot be read as an export: {error}", err=True)
        sys.exit(1)
    for left in found.left_out:
        typer.echo(f"Left out: {left}", err=True)
    typer.echo(f"{found.added} versions brought in, {found.known} were there already.")


async def _exported() -> Export:
    database = _database()
    try:
        async with database.reading() as session:
            return await queries.export(session)
    finally:
        await database.close()


async def _brought_in(source: str, file: bytes | None, context: str, token: str) -> Moved:
    if file is None:
        # Here, as the web framework comes along: other commands start in half the time without it.
        from schema_registry.api.elsewhere import TIMEOUT_S, export_of  # noqa: PLC0415

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(base_url=source, timeout=TIMEOUT_S, headers=headers) as client:
            found = await export_of(client)
    else:
        found = Export.model_validate_json(file)
    database = _database()
    try:
        async with database.transaction() as session:
            moved = await registry_commands.bring_in(session, into_context(found, context_name(context)))
            await registry_commands.tell_change(session)
            return moved
    finally:
        await database.close()


def _database() -> Database:
    return Database(RegistrySettings().database_url.get_secret_value(), pool_size=2, name="registry-console")


if __name__ == "__main__":
    commands()
