"""The command line of operators, and what the database itself refuses."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner, Result

from auth_service.__main__ import commands
from service_kit import migrating
from tests.auth_service.exchange import ADMIN, Auth
from tests.support.databases import in_a_thread

ROOT = Path(__file__).parents[2]


async def console(auth: Auth, *arguments: str, environment: str = "local") -> Result:
    """Type a command; it has the settings of the running service."""
    # In this process, as a new one loads libraries for longer than most commands work.
    return await asyncio.to_thread(CliRunner().invoke, commands, arguments, env=told(auth, environment))


def told(auth: Auth, environment: str = "local") -> dict[str, str]:
    """The environment of the running service."""
    settings = auth.settings
    return {
        "AUTH_ENVIRONMENT": environment,
        "AUTH_DATABASE_URL": settings.database_url.get_secret_value(),
        "AUTH_KAFKA_SERVERS": settings.kafka_servers,
        "AUTH_REGISTRY_URL": settings.registry_url,
        "AUTH_PUBLIC_URLS": json.dumps(settings.public_urls),
        "AUTH_SECRET_KEY": settings.secret_key.get_secret_value(),
        "AUTH_LETTERS_FOLDER": str(settings.letters_folder),
    }


class TestLocalTokens:
    async def test_one(self, auth: Auth) -> None:
        """A token of a person for five minutes, which every service accepts."""
        printed = await console(auth, "token", ADMIN.login)
        assert printed.exit_code == 0, printed.stderr
        token = printed.stdout.strip()
        claims = await auth.claims(token)
        assert claims["role"] == "admin"
        assert claims["exp"] - claims["iat"] == 300
        assert (await auth.introspected(token))["active"]
        async with auth.client(headers={"Authorization": f"Bearer {token}"}) as client:
            assert (await client.get("/api/v1/accounts")).status_code == 200

    async def test_all(self, auth: Auth) -> None:
        """One of each person by login, except of those who are blocked."""
        person, blocked = await auth.person(), await auth.person()
        await auth.change(blocked, blocked=True)
        tokens = json.loads((await console(auth, "token", "--all")).stdout)
        assert {ADMIN.login, person.login} <= set(tokens)
        assert blocked.login not in tokens

    async def test_not_in_production(self, auth: Auth) -> None:
        """Outside a local exchange there are no tokens without a sign-in."""
        printed = await console(auth, "token", ADMIN.login, environment="production")
        assert (printed.exit_code, printed.stdout) == (2, "")

    async def test_unknown_login(self, auth: Auth) -> None:
        """One clear sentence, in a process of its own as operators start it."""
        printed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "auth_service", "token", "nobody"],
            cwd=ROOT,
            env=os.environ | told(auth),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (printed.returncode, printed.stderr.strip()) == (1, "There is no such account.")


class TestKeys:
    async def test_rotate(self, own_auth: Auth) -> None:
        """The operator's command prints the keys that will sign."""
        printed = await console(own_auth, "rotate-keys")
        assert len(printed.stdout.split()) == 2
        assert await own_auth.value("select count(*) from audit_log where act = 'keys_rotated'") == 2


class TestAudit:
    async def test_what_the_console_did(self, own_auth: Auth) -> None:
        """The log says that it was done here; it is found by its act."""
        added = await console(own_auth, "create-client", "by-hand", "--grant", "client_credentials")
        assert added.exit_code == 0, added.stderr
        (line,) = (await console(own_auth, "audit", "--act", "client_created")).stdout.splitlines()
        told = json.loads(line)
        assert (told["client"], told["address"]) == ("by-hand", "console")

    async def test_of_nobody(self, auth: Auth) -> None:
        """A mistyped login is told, and is no clean record."""
        person = await auth.person()
        nobody = await console(auth, "audit", "--login", "nobody")
        somebody = await console(auth, "audit", "--login", person.login)
        assert (nobody.exit_code, somebody.exit_code) == (1, 0)
        assert "There is no such account." in nobody.stderr
        assert "account_created" in somebody.stdout


class TestClients:
    async def test_something_that_none_does(self, own_auth: Auth) -> None:
        """What was asked for is named; it is not the same as nothing."""
        refused = await console(own_auth, "create-client", "by-hand", "--grant", "foo")
        assert refused.exit_code == 1
        assert "foo is nothing that an application can do here." in refused.stderr


class TestDatabase:
    def test_models_and_schema_agree(self, auth: Auth) -> None:
        """The migrations build what the models say."""
        owner = auth.service.addresses.owner
        in_a_thread(lambda: migrating.check("auth_service", "auth", owner))

    @pytest.mark.parametrize(
        "statement",
        [
            "update audit_log set act = 'x'",
            "delete from audit_log",
            "delete from accounts",
            "delete from signing_keys",
            "drop table accounts",
        ],
    )
    async def test_least_rights(self, auth: Auth, statement: str) -> None:
        """The service's role changes no audit line, removes no account and no key, and touches no table."""
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner|append-only"):
            await auth.execute(statement)


class TestLogs:
    async def test_no_secrets(self, auth: Auth, capsys: pytest.CaptureFixture[str]) -> None:
        """Neither passwords nor codes nor tokens are logged, whatever the level of our own lines."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        asked = await browser.authorize()
        body = (await auth.redeem(asked)).json()
        await auth.refresh(body["refresh_token"])
        await auth.refresh(body["refresh_token"])
        logged = "".join(capsys.readouterr())
        assert "/token" in logged
        for secret in (
            person.password,
            asked.code,
            asked.verifier,
            *(body[k] for k in body if "token" in k and k != "token_type"),
        ):
            assert secret not in logged
