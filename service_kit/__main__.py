"""`python -m service_kit --port 8000 auth_service:8001:9001 schema_registry:8002 ...`: services together."""

import sys
from typing import Annotated

import typer

from service_kit.together import Place, run_together


def together(
    places: Annotated[list[str], typer.Argument(help="package:web port[:metrics port], for each service.")],
    port: Annotated[int, typer.Option(help="Port of /health for all of them.")],
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    log_level: Annotated[str, typer.Option(envvar="ATES_LOG_LEVEL")] = "INFO",
) -> None:
    """Run the web apps and workers of several services in one process."""
    try:
        known = [Place.parse(place) for place in places]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    sys.exit(run_together(known, host=host, port=port, log_level=log_level))


if __name__ == "__main__":
    typer.run(together)
