"""The commands every service has: `python -m <package> web | worker | migrate`."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Annotated

import structlog
import typer

from service_kit import telemetry
from service_kit.collecting import leave_alone_what_is_loaded
from service_kit.settings import ServiceSettings

log = structlog.get_logger(__name__)


def service_commands(
    package: str, settings: Callable[[], ServiceSettings], *, has_worker: bool = True
) -> typer.Typer:
    """A command line with the kit's commands; a service adds its own to what is returned.

    The composition roots are found by their names, and imported only by the command that runs them: a web
    process never loads Faust, a worker never loads the web framework. `<package>.app:web(settings)` answers
    the ASGI app; `<package>.worker:work(settings, metrics_port=..., host=...)` runs until it is stopped.
    """
    commands = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

    @commands.command("web")
    def run_web(
        port: Annotated[int, typer.Option(help="Port to answer on.")],
        host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    ) -> None:
        """Answer HTTP requests."""
        import uvicorn  # noqa: PLC0415  as above

        from service_kit.serving.server import web_config  # noqa: PLC0415

        found = settings()
        telemetry.configure_logging(found.name, "web", found.log_level)
        telemetry.configure_tracing(f"{found.name}-web", found.otlp_endpoint)
        app = resolve_name(f"{package}.app:web")(found)
        leave_alone_what_is_loaded()
        uvicorn.Server(web_config(app, host, port)).run()

    if has_worker:

        @commands.command("worker")
        def run_worker(
            metrics_port: Annotated[int, typer.Option(help="Port of /health and /metrics.")],
            host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
        ) -> None:
            """Relay the outbox, consume events, keep the timetable."""
            found = settings()
            telemetry.configure_logging(found.name, "worker", found.log_level)
            telemetry.configure_tracing(f"{found.name}-worker", found.otlp_endpoint)
            work = resolve_name(f"{package}.worker:work")
            leave_alone_what_is_loaded()
            work(found, metrics_port=metrics_port, host=host)

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

    if find_spec(f"{package}.consumers") is not None:

        @commands.command(
            "dead-letters",
            help="Events that could not be handled: list, groups, show, redrive, discard, restore, stop.",
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )
        def dead_letters(arguments: typer.Context) -> None:
            # Here, for the same reason.
            from service_kit.dead_letters import console  # noqa: PLC0415

            def quiet() -> ServiceSettings:
                found = settings()
                telemetry.configure_logging(found.name, "dead-letters", "WARNING")
                return found

            console.run(package, quiet, arguments.args)

    return commands
