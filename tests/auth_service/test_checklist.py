"""Lines of the security checklist in docs/security.md that no other test holds, and the table itself."""

import ast
import asyncio
import base64
import json
import re
from pathlib import Path

import httpx2
import pytest
import structlog
from joserfc.jwk import KeySet

from auth_service.commands.keys import rotate_keys
from service_kit.telemetry import NOISY
from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import ADMIN, CALLBACK, COOKIE, TRACKER, Auth, Login

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "docs" / "security.md"
LINES = 25


class TestTable:
    def test_every_line_names_tests_that_exist(self) -> None:
        """The table has each line once, and each test it names is a function of the named file."""
        rows = re.findall(
            r"^\| (\d+) \| (.+) \| (.+) \|$", SECURITY.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert [int(number) for number, _line, _tests in rows] == list(range(1, LINES + 1))
        for number, _line, tests in rows:
            named = re.findall(r"`(tests/[a-z_/]+\.py)::(?:(\w+)\.)?(\w+)`", tests)
            assert named, f"line {number} names no test"
            for file, group, name in named:
                assert (group, name) in functions_of(ROOT / file), f"{file} has no {group}.{name}"


def functions_of(path: Path) -> set[tuple[str, str]]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        group = node.name if isinstance(node, ast.ClassDef) else ""
        found |= {
            (group, one.name) for one in inside if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return found


class TestClients:
    async def test_fifty_secrets_at_one_client(self, make_auth: MakeAuth) -> None:
        """Whoever guesses a client's secret waits, even with the right one; other clients do not."""
        auth = await make_auth(attempts_per_address=5)
        form = {"grant_type": "client_credentials"}
        guesses = [await auth.token(form, httpx2.BasicAuth("billing", f"guess-{n}")) for n in range(8)]
        assert [guess.status_code for guess in guesses] == [401] * 5 + [429] * 3
        assert int(guesses[-1].headers["Retry-After"]) > 0
        right = httpx2.BasicAuth("billing", "secret-of-billing")
        assert (await auth.token(form, right)).status_code == 429
        async with auth.client() as client:
            for path in ("/introspect", "/revoke"):
                assert (await client.post(path, data={"token": "x"}, auth=right)).status_code == 429
        assert (await auth.token(form, TRACKER)).status_code == 200

    async def test_no_registration_from_outside(self, auth: Auth) -> None:
        """Clients are made by the settings and by nobody who calls: there is no registration endpoint."""
        async with auth.client() as client:
            document = (await client.get("/.well-known/openid-configuration")).json()
            assert "registration_endpoint" not in document
            assert (await client.post("/register", json={"redirect_uris": [CALLBACK]})).status_code == 404


class TestSignIn:
    async def test_an_address_links_nobody(self, auth: Auth) -> None:
        """An e-mail address proves nothing: it signs nobody in, and there is no other provider to believe."""
        person = await auth.person(email="somebody@example.org")
        assert (
            await auth.browser().sign_in(Login("somebody@example.org", person.password))
        ).status_code == 401
        async with auth.client() as client:
            for path in ("/federation", "/callback", "/login"):
                assert (await client.get(path)).status_code == 404

    async def test_other_origins_read_nothing(self, auth: Auth) -> None:
        """No page of another site may read an answer of ours, and the way on after a form is 303."""
        foreign = {"Origin": "https://evil.test"}
        async with auth.client(headers=foreign) as client:
            for path in (
                "/authorize",
                "/userinfo",
                "/.well-known/jwks.json",
                "/sign-in",
                "/people",
                "/verify",
            ):
                assert "Access-Control-Allow-Origin" not in (await client.get(path)).headers, path
            preflight = await client.options("/token", headers={"Access-Control-Request-Method": "POST"})
            assert "Access-Control-Allow-Origin" not in preflight.headers
        assert (await auth.browser().sign_in(ADMIN)).status_code == 303

    async def test_pages_are_closed(self, auth: Auth) -> None:
        """Sign-in, second step and device pages: own nonce, no frame, no source or referrer abroad."""
        browser = await auth.signed_in()
        for path in ("/sign-in?again=1", "/device", "/security", "/logout"):
            headers = (await browser.http.get(path)).headers
            policy = headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert re.search(r"script-src 'self' 'nonce-[\w-]+'", policy), path
            assert "http:" not in policy.replace("https:", "")
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["Cache-Control"] == "no-store"

    async def test_idle_refresh_token(self, own_auth: Auth) -> None:
        """A refresh token that nobody used for the idle time has ended, before its family does."""
        tokens = await own_auth.tokens()
        await own_auth.execute("update refresh_tokens set expires_at = now()")
        assert (await own_auth.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"

    @pytest.mark.parametrize("way", ["logout", "password", "block"])
    async def test_what_ends_refresh_tokens(self, auth: Auth, way: str) -> None:
        """A sign-out, a new password made elsewhere and a block each end the refresh tokens."""
        person = await auth.person()
        browser = await auth.signed_in(person)
        tokens = (await auth.redeem(await browser.authorize())).json()
        if way == "logout":
            await browser.http.post("/logout")
        elif way == "password":
            form = {"present": person.password, "new": "a-brand-new-password"}
            elsewhere = await auth.signed_in(person)
            assert (await elsewhere.http.post("/profile/password", data=form)).status_code == 303
        else:
            await auth.change(person, blocked=True)
        assert (await auth.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


class TestKeys:
    async def test_rotation_under_load(self, own_auth: Auth) -> None:
        """While keys change hands no request fails, and every token verifies with what is published then."""
        secret_key = own_auth.settings.secret_key.get_secret_value()
        done = asyncio.Event()
        answers: list[httpx2.Response] = []

        async def ask() -> None:
            while not done.is_set():
                answers.append(await own_auth.token({"grant_type": "client_credentials"}))
                # What is answered from memory waits for nothing; the others get their turn here.
                await asyncio.sleep(0)

        callers = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(3):
            async with own_auth.service.transaction() as session:
                assert len(await rotate_keys(session, secret_key)) == 2
            await own_auth.execute("update signing_keys set signs_from = now() where signs_from > now()")
            own_auth.app.state.keys.forget()
            seen = len(answers)
            while len(answers) < seen + 8:
                await asyncio.sleep(0)
        done.set()
        await asyncio.gather(*callers)
        assert {answer.status_code for answer in answers} == {200}
        async with own_auth.client() as client:
            published = KeySet.import_key_set((await client.get("/.well-known/jwks.json")).json())
        kids = set()
        for answer in answers:
            claims = await own_auth.claims(answer.json()["access_token"])
            assert claims["client_id"] == "tracker"
            kids.add(kid_of(answer.json()["access_token"]))
        assert len(kids) == 4
        assert kids <= {key.kid for key in published.keys}


def kid_of(token: str) -> str:
    found: str = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))["kid"]
    return found


class TestLogs:
    async def test_nothing_secret_is_logged(
        self, auth: Auth, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """Sign-in, renewal, failure and sign-out leave no password, code, token or cookie in the log."""
        person = await auth.person()
        caplog.set_level("DEBUG")
        for name, at_least in NOISY.items():
            caplog.set_level(at_least, name)
        with structlog.testing.capture_logs() as lines:
            browser = await auth.signed_in(person)
            wrong = Login(person.login, "a-wrong-password-typed")
            await auth.browser().sign_in(wrong)
            asked = await browser.authorize()
            tokens = (await auth.redeem(asked)).json()
            again = (await auth.refresh(tokens["refresh_token"])).json()
            await auth.refresh(tokens["refresh_token"])
            await auth.introspected(again["access_token"])
            async with auth.client(headers={"Authorization": f"Bearer {again['access_token']}"}) as client:
                await client.get("/userinfo")
                await client.get("/verify")
                await client.get("/authorize", params={"code_challenge": asked.verifier, "client_id": "x"})
            await auth.token(
                {"grant_type": "client_credentials"}, httpx2.BasicAuth("tracker", "wrong-secret-x")
            )
            cookie = browser.http.cookies[COOKIE]
            await browser.http.post("/logout")
        told = capsys.readouterr()
        messages = [record.getMessage() for record in caplog.records]
        text = json.dumps([lines, messages], default=str) + told.out + told.err
        assert "request" in text
        secrets = {
            "password": person.password,
            "wrong password": wrong.password,
            "code": asked.code,
            "verifier": asked.verifier,
            "access token": tokens["access_token"],
            "ID token": tokens["id_token"],
            "refresh token": tokens["refresh_token"],
            "next refresh token": again["refresh_token"],
            "cookie": cookie,
            "client secret": "secret-of-the-tracker",
            "wrong client secret": "wrong-secret-x",
        }
        assert [name for name, secret in secrets.items() if secret in text] == []
