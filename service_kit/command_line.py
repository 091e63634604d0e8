"""The commands every service has: `python -m <package> web | worker | migrate`."""

import sys
from collections.abc import Callable
from typing import Annotated

import structlog
import typer
import uvicorn
from fastapi import FastAPI

from service_kit import telemetry
from service_kit.settings import ServiceSettings

log = structlog.get_logger()


def service_commands(
    package: str,
    settings: Callable[[], ServiceSettings],
    web: Callable[..., FastAPI],
    worker: Callable[..., None] | None = None,
) -> typer.Typer:
    """A command line with the kit's commands; a service adds its own to what is returned.

    `web(settings)` answers the ASGI app; `worker(settings, metrics_port=...)` runs until it is stopped.
    """
    commands = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

    @commands.command("web")
    def run_web(
        port: Annotated[int, typer.Option(help="Port to answer on.")],
        host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    ) -> None:
        """Answer HTTP requests."""
        found = settings()
        telemetry.configure_logging(found.name, "web", found.log_level)
        telemetry.configure_tracing(f"{found.name}-web", found.otlp_endpoint)
        app = web(found)
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips="127.0.0.1",
            timeout_graceful_shutdown=5,
        )

    if worker is not None:
        run = worker

        @commands.command("worker")
        def run_worker(
            metrics_port: Annotated[int, typer.Option(help="Port of /health and /metrics.")],
        ) -> None:
            """Relay the outbox, consume events, keep the timetable."""
            found = settings()
            telemetry.configure_logging(found.name, "worker", found.log_level)
            telemetry.configure_tracing(f"{found.name}-worker", found.otlp_endpoint)
            run(found, metrics_port=metrics_port)

    @commands.command("migrate")
    def migrate(
        *, check: Annotated[bool, typer.Option(help="Only say whether models and schema agree.")] = False
    ) -> None:
        """Bring the database to the newest schema, as its owner."""
        # Here, as web and worker start faster without Alembic.
        from service_kit import migrating  # noqa: PLC0415

        found = settings()
        telemetry.configure_logging(found.name, "migrate", found.log_level)
        if found.database_owner_url is None:
            typer.echo(
                f"{found.name.upper()}_DATABASE_OWNER_URL is not set; only the owner migrates.", err=True
            )
            sys.exit(2)
        action = migrating.check if check else migrating.upgrade
        action(package, found.name, found.database_owner_url.get_secret_value())
        log.info("migrated", package=package)

    return commands
