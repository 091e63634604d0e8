"""`python -m <package> dead-letters ...`: for operators and scripts, the same acts as on the page."""

import asyncio
import getpass
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from service_kit.clock import SystemClock
from service_kit.context import Context
from service_kit.database import Database
from service_kit.dead_letters import acting, reading, words
from service_kit.dead_letters.explaining import Explanation, Heard, explain, repaired
from service_kit.dead_letters.reading import Standing, Wanted
from service_kit.errors import ServiceError
from service_kit.paging import LIMIT_MAX, PageRequest
from service_kit.schema_client import SchemaClient
from service_kit.settings import ServiceSettings

T = TypeVar("T")
POLL_S = 0.5

Reason = Annotated[str | None, typer.Option("--reason", help="Only letters put aside for this reason.")]
TypeName = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
Every = Annotated[bool, typer.Option("--all", help="All of them, whatever the reason.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Ids = Annotated[list[UUID] | None, typer.Argument(help="Ids of letters.")]


@dataclass(frozen=True)
class _Desk:
    """What a command works with."""

    settings: ServiceSettings
    database: Database
    schemas: SchemaClient
    heard: Heard

    async def explain(self, letter: reading.Letter) -> Explanation:
        return await explain(
            letter.newest_value, letter.newest_headers, heard=self.heard, schemas=self.schemas
        )


commands = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Events that could not be handled. Each waits until somebody sends it again or gives it up.",
)
"""Run with the desk's maker as the context's object; see `run`."""


def run(package: str, settings: Callable[[], ServiceSettings], arguments: Sequence[str]) -> None:
    """Run one command of one service's dead letters; only a command, not its help, needs the settings."""

    def desk() -> AbstractAsyncContextManager[_Desk]:
        return _desk(package, settings())

    program = typer.main.get_command(commands)
    program.main(list(arguments), prog_name=f"python -m {package} dead-letters", obj=desk)


def _run(context: typer.Context, work: Callable[[_Desk], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with context.obj() as desk:
            return await work(desk)

    try:
        return asyncio.run(inside())
    except ServiceError as error:
        typer.echo(error.lines, err=True)
        raise typer.Exit(1) from None


@commands.command("list")
def list_letters(
    context: typer.Context,
    standing: Annotated[
        str, typer.Option("--state", help="waiting, queued, redriven, handled, discarded or all.")
    ] = "waiting",
    reason: Reason = None,
    type_name: TypeName = None,
    search: Annotated[str | None, typer.Option(help="Letter, event, redrive, request, or key.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX)] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List letters, the newest first."""
    if standing not in {*reading.STANDINGS, "all"}:
        raise typer.BadParameter(f"one of {', '.join(reading.STANDINGS)}, all", param_hint="--state")
    found: Standing | None = next((one for one in reading.STANDINGS if one == standing), None)
    wanted = Wanted(found, reason, type_name, search)

    async def work(desk: _Desk) -> None:
        async with desk.database.reading() as session:
            page = await reading.letters(session, wanted, PageRequest(limit))
        if as_json:
            _print_json([asdict(line) for line in page.items])
            return
        for line in page.items:
            typer.echo(
                f"{line.id}  {line.last_seen_at:%Y-%m-%d %H:%M:%S}  {line.standing:<9}  "
                f"{line.type_name or '-'}  {line.reason}: {line.detail}"
            )
        if not page.items:
            typer.echo("No such letter.")
        elif page.next:
            typer.echo(f"Only the newest {limit} are shown; narrow the list or raise --limit.")

    _run(context, work)


@commands.command("groups")
def list_groups(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Count what waits by reason and type of event."""

    async def work(desk: _Desk) -> None:
        async with desk.database.reading() as session:
            found = await reading.groups(session)
        if as_json:
            _print_json([asdict(group) for group in found])
            return
        for group in found:
            typer.echo(
                f"{group.count:>8}  {group.reason}  {group.type_name or '-'}  "
                f"since {group.first_seen_at:%Y-%m-%d %H:%M:%S}  e.g. {group.example}"
            )
        if not found:
            typer.echo("No letter waits.")

    _run(context, work)


@commands.command("show")
def show(context: typer.Context, letter_id: UUID, *, as_json: AsJson = False) -> None:
    """Show one letter: what is wrong and where, payload, headers, history."""

    async def work(desk: _Desk) -> None:
        async with desk.database.reading() as session:
            letter = await reading.letter(session, letter_id)
        found = await desk.explain(letter)
        if as_json:
            _print_json({**asdict(letter), "faults": [asdict(fault) for fault in found.faults]})
        else:
            _print_letter(letter, found)

    _run(context, work)


@commands.command("redrive")
def redrive(
    context: typer.Context,
    ids: Ids = None,
    reason: Reason = None,
    type_name: TypeName = None,
    rate: Annotated[
        int, typer.Option(help="Letters a second.", min=1, max=acting.RATE_MAX)
    ] = acting.RATE_DEFAULT,
    value: Annotated[
        str | None, typer.Option(help="File with the repaired JSON, - for standard input; one id only.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE to repair a header; one id only.")
    ] = None,
    *,
    every: Every = False,
    yes: Yes = False,
) -> None:
    """Send letters again; each acts once, however often it is sent."""
    wanted = _meant(ids, reason, type_name, every=every)
    if ids:
        if (value or header) and len(ids) > 1:
            raise typer.BadParameter("one letter at a time can be repaired", param_hint="--value")
        text = None if value is None else _read(value)
        _run(context, lambda desk: _redrive_each(desk, ids, text, _pairs(header)))
        return
    if value or header:
        raise typer.BadParameter("name the letter that is to be repaired", param_hint="--value")
    _confirm(_run(context, lambda desk: _number(desk, wanted)), "Send {} again?", yes=yes)
    _run(context, lambda desk: _redrive_many(desk, wanted, rate))


@commands.command("discard")
def discard(
    context: typer.Context,
    ids: Ids = None,
    reason: Reason = None,
    type_name: TypeName = None,
    because: Annotated[str, typer.Option(help="Why; stands in the history of each letter.")] = "",
    *,
    every: Every = False,
    yes: Yes = False,
) -> None:
    """Give letters up; they are kept and can be put back by `restore`."""
    wanted = _meant(ids, reason, type_name, every=every)
    if not because.strip():
        raise typer.BadParameter("say why", param_hint="--because")
    if not ids:
        _confirm(_run(context, lambda desk: _number(desk, wanted)), "Discard {}?", yes=yes)

    async def work(desk: _Desk) -> int:
        async with desk.database.transaction() as session:
            if not ids:
                return await acting.discard(session, wanted, _operator(), because)
            for letter_id in ids:
                await acting.discard_one(session, letter_id, _operator(), because)
            return len(ids)

    typer.echo(f"{_run(context, work)} discarded.")


@commands.command("restore")
def restore(
    context: typer.Context,
    ids: Ids = None,
    reason: Reason = None,
    type_name: TypeName = None,
    *,
    every: Every = False,
) -> None:
    """Let discarded letters wait again."""
    wanted = _meant(ids, reason, type_name, every=every)

    async def work(desk: _Desk) -> int:
        async with desk.database.transaction() as session:
            if not ids:
                return await acting.restore(session, wanted, _operator())
            for letter_id in ids:
                await acting.restore_one(session, letter_id, _operator())
            return len(ids)

    typer.echo(f"{_run(context, work)} wait again.")


@commands.command("stop")
def stop(context: typer.Context, redrive_id: UUID) -> None:
    """Stop a redrive of many; what was not sent waits again."""

    async def work(desk: _Desk) -> int:
        async with desk.database.transaction() as session:
            return await acting.stop_redrive(session, redrive_id, _operator())

    typer.echo(f"Stopped; {_run(context, work)} wait again.")


@asynccontextmanager
async def _desk(package: str, settings: ServiceSettings) -> AsyncIterator[_Desk]:
    hears = resolve_name(f"{package}.consumers:router").hears
    schemas = SchemaClient.configured(settings)
    context = Context(settings, SystemClock.of(settings), schemas)
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=4,
        context=context,
        name=f"{settings.name}-dead-letters",
    )
    try:
        yield _Desk(settings, database, schemas, {event.type_name(): event for event in hears})
    finally:
        await database.close()


async def _redrive_each(desk: _Desk, ids: list[UUID], text: str | None, headers: Mapping[str, str]) -> None:
    for letter_id in ids:
        async with desk.database.transaction() as session:
            repair = None
            if text is not None or headers:
                letter = await reading.letter(session, letter_id)
                repair = await repaired(
                    (await desk.explain(letter)).editable if text is None else text,
                    {**letter.newest_headers, **headers},
                    topic=letter.line.topic,
                    heard=desk.heard,
                    schemas=desk.schemas,
                    settings=desk.settings,
                )
            await acting.redrive_one(session, letter_id, _operator(), repair)
        typer.echo(f"{letter_id} sent again{', repaired' if repair else ''}.")


async def _redrive_many(desk: _Desk, wanted: Wanted, rate: int) -> None:
    """Queue them and show how far the worker has come; stopping to look stops nothing."""
    async with desk.database.transaction() as session:
        redrive_id = await acting.redrive_many(session, wanted, _operator(), rate)
    typer.echo(
        f"Redrive {redrive_id}; the worker sends, `dead-letters stop {redrive_id}` takes the rest back."
    )
    last = ""
    while True:
        async with desk.database.reading() as session:
            found = await reading.redrive(session, redrive_id)
        line = (
            f"{found.sent} of {found.total} sent, {found.handled} handled, {found.failed} came back, "
            f"{found.on_the_way} on the way"
        )
        if line != last:
            typer.echo(line)
            last = line
        if found.state != "running":
            typer.echo(f"{found.state}{': ' + found.stopped_because if found.stopped_because else ''}")
            if found.failed or found.state == "stopped":
                raise typer.Exit(1)
            return
        await asyncio.sleep(POLL_S)


async def _number(desk: _Desk, wanted: Wanted) -> int:
    async with desk.database.reading() as session:
        return await reading.count(session, replace(wanted, standing="waiting"))


def _meant(ids: list[UUID] | None, reason: str | None, type_name: str | None, *, every: bool) -> Wanted:
    """All letters are never meant by accident."""
    chosen = [bool(ids), bool(reason or type_name), every]
    if sum(chosen) != 1:
        raise typer.BadParameter("name letters by id, or --reason and --type, or --all")
    return Wanted(reason=reason, type_name=type_name)


def _confirm(number: int, question: str, *, yes: bool) -> None:
    if not yes and number:
        typer.confirm(question.format("1 letter" if number == 1 else f"{number} letters"), abort=True)


def _operator() -> acting.Actor:
    return acting.Actor(operator=f"{getpass.getuser()}@{socket.gethostname()}")


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(str(error), param_hint="--value") from error


def _pairs(given: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    if any(not separator for _, separator, _ in pairs):
        raise typer.BadParameter("a header is NAME=VALUE", param_hint="--header")
    return {name: value for name, _, value in pairs}


def _print_json(found: Any) -> None:
    def plain(value: Any) -> str:
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    typer.echo(json.dumps(found, default=plain, ensure_ascii=False, indent=2))


def _print_letter(letter: reading.Letter, found: Explanation) -> None:
    line = letter.line
    typer.echo(f"{line.id}  {line.standing}, {line.attempts} attempts")
    typer.echo(f"{line.reason}: {line.detail}")
    if line.standing == "waiting":
        typer.echo(words.advice(line.reason))
    typer.echo(f"event {line.event_id or '-'}  {line.type_name or '-'}  key {line.key}")
    typer.echo(f"{line.topic} [{line.partition}] @{line.offset}")
    typer.echo(f"first {line.first_seen_at}, last {line.last_seen_at}")
    for fault in found.faults:
        typer.echo(f"  wrong  {fault.where}  {fault.message}")
    typer.echo("")
    for shown in found.payload:
        typer.echo(f"{'>' if shown.wrong else ' '} {shown.text}")
    typer.echo("")
    for name, value in sorted(letter.newest_headers.items()):
        typer.echo(f"  {name}: {value}")
    for act in letter.acts:
        who = act.actor_guid or act.operator or "consumer"
        typer.echo(f"{act.at}  {act.action}  by {who}{'  ' + act.note if act.note else ''}")
