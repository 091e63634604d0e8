"""The command line: web, worker, migrate, accounts, clients, keys, the audit log, local tokens."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from auth_service.commands.accounts import (
    AccountChanges,
    AccountForm,
    change_account,
    create_account_with_password,
)
from auth_service.commands.clients import change_safety, create_client
from auth_service.commands.keys import rotate_keys
from auth_service.commands.oauth import Provider, mint_access_token
from auth_service.commands.passwords import Passwords
from auth_service.commands.sessions import begin_for_console
from auth_service.domain.accounts import AccountNotFound, clean_login
from auth_service.domain.audit import ACTS
from auth_service.domain.clients import GRANTS, SCOPES, ClientForm
from auth_service.domain.keys import ALGORITHMS, ID_TOKENS
from auth_service.events import SAYS
from auth_service.models import Account
from auth_service.queries.accounts import account_by_login, all_accounts
from auth_service.queries.audit import audit_entries
from auth_service.queries.keys import read_key_ring
from auth_service.queries.sessions import person_of_session
from auth_service.settings import AuthSettings
from service_kit.clock import SystemClock
from service_kit.command_line import service_commands
from service_kit.context import Context
from service_kit.database import Database, ReadSession, Session
from service_kit.errors import ServiceError
from service_kit.roles import Role
from service_kit.schema_client import SchemaClient
from service_kit.telemetry import caller_address
from service_kit.text import message as _

REGISTRY_ANSWERS_WITHIN_S = 20
LOCAL_CLIENT = "local-command-line"
CONSOLE = "ates token"
HERE = "console"
"""What the audit log says of from where."""

LOCAL_SCOPE = "openid profile email"


commands = service_commands("auth_service", AuthSettings)


@dataclass(frozen=True)
class Console:
    """What a command of an operator works with."""

    settings: AuthSettings
    database: Database
    schemas: SchemaClient

    @asynccontextmanager
    async def saying(self) -> AsyncIterator[Session]:
        """A transaction that may say facts; the registry has to know them."""
        async with asyncio.timeout(REGISTRY_ANSWERS_WITHIN_S):
            await self.schemas.load(SAYS)
        async with self.database.transaction() as session:
            yield session


def run(command: Callable[[Console], Awaitable[None]]) -> None:
    """Run one command; a refusal is a sentence and exit code 1."""

    async def inside() -> None:
        caller_address.set(HERE)
        settings = AuthSettings()
        schemas = SchemaClient(settings.registry_url)
        context = Context(settings=settings, clock=SystemClock.of(settings), schemas=schemas)
        url = settings.database_url.get_secret_value()
        database = Database(url, pool_size=2, context=context, name="auth-console")
        try:
            await command(Console(settings, database, schemas))
        finally:
            await database.close()

    try:
        asyncio.run(inside())
    except ServiceError as error:
        typer.echo(error.lines, err=True)
        sys.exit(1)
    except TimeoutError:
        typer.echo("The schema registry does not answer; is the exchange running?", err=True)
        sys.exit(1)


@commands.command("create-account")
def create_account_command(
    login: str,
    role: Role,
    name: Annotated[str, typer.Option(help="Full name; the login when absent.")] = "",
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    locale: Annotated[str | None, typer.Option(help="Language of pages and letters.")] = None,
    *,
    password: Annotated[
        bool, typer.Option("--password", help="Read a password from standard input.")
    ] = False,
) -> None:
    """Create an account; without a password it is signed in to by a code in a letter alone."""
    # Never an argument: those are visible to everybody on the machine.
    secret = _read_password() if password else None

    async def create(console: Console) -> None:
        form = AccountForm(
            login=login,
            name=name or login,
            role=role,
            time_zone=console.settings.business_time_zone,
            email=email,
            locale=locale,
            password=secret,
        )
        async with console.saying() as session:
            account = await create_account_with_password(session, None, form, Passwords(workers=1))
        typer.echo(str(account.id))

    run(create)


@commands.command("set-role")
def set_role(login: str, role: Role) -> None:
    """Give an account another role; the person has to sign in again."""
    run(lambda console: _change(console, login, AccountChanges(role=role)))


@commands.command("block")
def block(
    login: str, *, lift: Annotated[bool, typer.Option("--lift", help="Lift the block instead.")] = False
) -> None:
    """Block an account: all its sessions end at once."""
    run(lambda console: _change(console, login, AccountChanges(blocked=not lift)))


@commands.command("create-client")
def create_client_command(
    client_id: Annotated[str, typer.Argument(help="Letters a-z, digits and dashes.")],
    name: Annotated[str, typer.Option(help="What people read; the id when absent.")] = "",
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Address to come back to; repeatable.")
    ] = None,
    grant: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(GRANTS)}; repeatable.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SCOPES)}; repeatable.")] = None,
    *,
    public: Annotated[bool, typer.Option("--public", help="It cannot keep a secret.")] = False,
    without_pkce: Annotated[bool, typer.Option("--without-pkce", help="It sends a nonce instead.")] = False,
    id_token_alg: Annotated[str, typer.Option(help=f"One of {', '.join(ALGORITHMS)}.")] = ID_TOKENS,
) -> None:
    """Add an application; prints its secret, once."""
    usual = ClientForm(name=name or client_id)
    form = replace(
        usual,
        redirect_uris=tuple(redirect_uri or ()),
        grant_types=tuple(grant or usual.grant_types),
        scopes=tuple(scope or usual.scopes),
        without_pkce=without_pkce,
        id_token_alg=id_token_alg,
    )

    async def create(console: Console) -> None:
        async with console.database.transaction() as session:
            created = await create_client(
                session, None, client_id=client_id, form=form, confidential=not public
            )
        typer.echo(created.secret or created.client_id)

    run(create)


@commands.command("change-client")
def change_client_command(
    client_id: Annotated[str, typer.Argument(help="An application that administrators keep.")],
    *,
    without_pkce: Annotated[
        bool | None, typer.Option("--without-pkce/--with-pkce", help="Whether a nonce does instead.")
    ] = None,
    id_token_alg: Annotated[str | None, typer.Option(help=f"One of {', '.join(ALGORITHMS)}.")] = None,
) -> None:
    """Change what an application's library can; the audit log tells of it."""
    if without_pkce is None and id_token_alg is None:
        typer.echo("Say what to change: --without-pkce, --with-pkce or --id-token-alg.", err=True)
        sys.exit(2)

    async def change(console: Console) -> None:
        async with console.database.transaction() as session:
            await change_safety(
                session, None, client_id, without_pkce=without_pkce, id_token_alg=id_token_alg
            )

    run(change)


@commands.command("audit")
def audit_command(
    login: Annotated[str, typer.Option(help="Only what this account did, or what was done to it.")] = "",
    act: Annotated[str | None, typer.Option(help="Only this act, for instance sign_in_failed.")] = None,
    limit: Annotated[int, typer.Option(help="How many lines.", min=1, max=10_000)] = 50,
) -> None:
    """Print the audit log, the latest first, one JSON object on each line."""
    if act is not None and act not in ACTS:
        typer.echo(f"There is no act {act}. There are: {', '.join(ACTS)}", err=True)
        sys.exit(2)

    async def show(console: Console) -> None:
        async with console.database.reading() as session:
            if login:
                # A mistyped one must not look like somebody who did nothing.
                await _account(session, login)
            rows = await audit_entries(session, limit=limit, act=act, login=login)
        for row in rows[:limit]:
            told = {
                "at": row.at.isoformat(),
                "act": row.act,
                "actor": row.actor_id,
                "account": row.account_id,
                "client": row.client_id,
                "address": row.address,
                "details": row.details,
            }
            typer.echo(json.dumps({name: value for name, value in told.items() if value}, default=str))

    run(show)


@commands.command("rotate-keys")
def rotate_keys_command() -> None:
    """Let the next signing keys take over as soon as everybody has had time to learn them."""

    async def rotate(console: Console) -> None:
        async with console.database.transaction() as session:
            kids = await rotate_keys(session, console.settings.secret_key.get_secret_value())
        typer.echo("\n".join(kids))

    run(rotate)


@commands.command("token")
def token(
    login: Annotated[str, typer.Argument(help="Whose token.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="One of each account, as JSON by login.")] = False,
) -> None:
    """Print a five-minute access token, for curl and demo data. Local exchanges only."""
    settings = AuthSettings()
    if settings.environment != "local":
        typer.echo("Tokens without a sign-in exist only in a local exchange.", err=True)
        sys.exit(2)
    if bool(login) == every:
        typer.echo("Name one login, or say --all.", err=True)
        sys.exit(2)

    async def mint(console: Console) -> None:
        async with console.database.transaction() as session:
            ring = await read_key_ring(session, settings.secret_key.get_secret_value())
            provider = Provider(settings, ring)
            found = [row for row in await all_accounts(session) if not row.blocked]
            chosen = found if every else [await _account(session, login)]
            tokens = {}
            for account in chosen:
                begun = await begin_for_console(session, settings, account.id, CONSOLE)
                person = await person_of_session(session, begun)
                assert person is not None  # noqa: S101  it has just begun
                tokens[account.login] = mint_access_token(provider, person, LOCAL_CLIENT, LOCAL_SCOPE)
        typer.echo(json.dumps(tokens) if every else tokens[chosen[0].login])

    run(mint)


async def _change(console: Console, login: str, changes: AccountChanges) -> None:
    async with console.saying() as session:
        account = await _account(session, login)
        await change_account(session, None, account.id, changes)


async def _account(session: ReadSession, login: str) -> Account:
    account = await account_by_login(session, clean_login(login))
    if account is None:
        raise AccountNotFound(_("There is no such account."))
    return account


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    commands()
