"""Forward authentication: what a gateway is told, and that nobody outside can forge it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from local_stack.ports import PortChooser
from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import ADMIN, COOKIE, Auth
from tests.auth_service.gateway import caddy
from tests.support.web import serving

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


async def asked(auth: Auth, token: str | None, **parameters: str) -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with auth.client(headers=headers) as client:
        return await client.get("/verify", params=parameters)


class TestAnswers:
    async def test_by_token(self, auth: Auth) -> None:
        """200 with guid, role and name of whoever the bearer token stands for."""
        person = await auth.person(name="Анна Ли")
        response = await asked(auth, (await auth.tokens(person))["access_token"])
        assert response.status_code == 200
        assert response.headers["X-User-Guid"] == person.id
        assert response.headers["X-User-Role"] == "worker"
        assert unquote(response.headers["X-User-Name"]) == "Анна Ли"

    async def test_by_cookie(self, auth: Auth) -> None:
        """The cookie of the sign-in does as well, so that a page behind the gateway needs no code."""
        browser = await auth.signed_in()
        response = await browser.http.get("/verify")
        assert (response.status_code, response.headers["X-User-Role"]) == (200, "admin")

    async def test_nobody(self, auth: Auth) -> None:
        """401 without a token or cookie, and for a token that does not hold."""
        for token in (None, "x.y.z", (await auth.tokens())["id_token"]):
            response = await asked(auth, token)
            assert response.status_code == 401
            assert "X-User-Guid" not in response.headers

    async def test_roles(self, auth: Auth) -> None:
        """403 for somebody in none of the roles that the gateway names; an invented role lets nobody in."""
        token = (await auth.tokens(await auth.person()))["access_token"]
        assert (await asked(auth, token, role="admin")).status_code == 403
        assert (await asked(auth, token, role="worker")).status_code == 200
        assert (await asked(auth, token, role="everybody")).status_code == 422

    async def test_a_block_counts_at_once(self, auth: Auth) -> None:
        """A token given before the block, the new role or the sign-out is refused at once."""
        for changes in ({"blocked": True}, {"role": "manager"}):
            person = await auth.person()
            token = (await auth.tokens(person))["access_token"]
            assert (await asked(auth, token)).status_code == 200
            await auth.change(person, **changes)
            assert (await asked(auth, token)).status_code == 401
        browser = await auth.signed_in()
        token = (await auth.redeem(await browser.authorize())).json()["access_token"]
        await browser.http.post("/logout")
        assert (await asked(auth, token)).status_code == 401

    async def test_too_many_bad_tokens(self, make_auth: MakeAuth) -> None:
        """429 with Retry-After for an address that shows one bad token after the other."""
        auth = await make_auth(attempts_per_address=4)
        answers_given = [(await asked(auth, f"bad.{number}.token")).status_code for number in range(6)]
        assert answers_given == [401, 401, 401, 401, 429, 429]
        refused = await asked(auth, "bad.again.token")
        assert int(refused.headers["Retry-After"]) > 0
        # Who shows nothing costs nothing.
        assert (await asked(auth, None)).status_code == 401


class TestBehindAGateway:
    async def test_nobody_forges_an_identity(self, auth: Auth, tmp_path: Path) -> None:
        """Through the gateway of docs/security.md: forged headers never arrive, the real identity does."""
        async with gateway(auth, tmp_path) as client:
            forged = {
                "X-User-Guid": "boss",
                "X-User-Role": "admin",
                "X-User-Name": "boss",
                "Remote-User": "boss",
            }
            assert (await client.get("/app/", headers=forged)).status_code == 401
            person = await auth.person()
            token = (await auth.tokens(person))["access_token"]
            response = await client.get("/app/", headers=forged | {"Authorization": f"Bearer {token}"})
            assert response.status_code == 200
            seen = response.json()
            assert seen["x-user-guid"] == person.id
            assert seen["x-user-role"] == "worker"
            assert "boss" not in str(seen)
            browser = await auth.signed_in(ADMIN)
            cookie = {"Cookie": f"{COOKIE}={browser.http.cookies[COOKIE]}"}
            assert (await client.get("/app/", headers=cookie)).json()["x-user-role"] == "admin"


@asynccontextmanager
async def gateway(auth: Auth, folder: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Caddy with the configuration that the document shows, before an application that tells its headers."""

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.headers))

    ports = PortChooser()
    site = ports.draw()
    async with serving(auth.app) as auth_port, serving(Starlette(routes=[Route("/app/", echo)])) as app_port:
        shown = re.search(r"```caddyfile\n(.*?)```", SECURITY.read_text(encoding="utf-8"), re.DOTALL)
        assert shown is not None
        text = shown[1].replace("exchange.example.com", f"http://127.0.0.1:{site}")
        text = text.replace("auth-web:8000", f"127.0.0.1:{auth_port}").replace(
            "app:8000", f"127.0.0.1:{app_port}"
        )
        options = "{\n\tadmin off\n\tauto_https off\n}\n"
        async with (
            caddy(options + text, folder, site),
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{site}") as client,
        ):
            yield client
