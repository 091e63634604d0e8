"""`python -m schema_registry web | migrate | check | seal | events`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from schema_registry.domain.checks import problems, seal
from schema_registry.domain.contracts import ContractError, read_contracts
from schema_registry.domain.event_map import event_map
from schema_registry.settings import OWN_SCHEMAS, RegistrySettings
from service_kit.command_line import service_commands

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


if __name__ == "__main__":
    commands()
