"""The sign-in service as a test drives it: browsers with cookies, clients with secrets, all over HTTP."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import text

from auth_service.app import web
from auth_service.settings import AuthSettings
from service_kit.context import Context
from tests.support.running import eventually
from tests.support.services import Service

ORIGIN = "https://exchange.test"
PUBLIC_URLS = {
    "gateway": ORIGIN,
    **{name: f"{ORIGIN}/{name}" for name in ("auth", "tracker", "billing", "analytics", "registry")},
}
ISSUER = PUBLIC_URLS["auth"]
CALLBACK = f"{ORIGIN}/tracker/callback"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ROBOT_KEY = ECKey.generate_key("P-256", {"kid": "robot-1", "alg": "ES256", "use": "sig"})
CLIENTS = {
    "tracker": {
        "secret": "secret-of-the-tracker",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [f"{ORIGIN}/tracker/"],
    },
    "billing": {"secret": "secret-of-billing", "redirect_uris": [f"{ORIGIN}/billing/callback"]},
    "robot": {
        "jwks": {"keys": [ROBOT_KEY.as_dict(private=False)]},
        "grant_types": ["client_credentials"],
    },
    "television": {"name": "A television", "grant_types": [DEVICE_CODE, "refresh_token"]},
    "desktop": {
        "redirect_uris": ["http://127.0.0.1/done", "http://localhost/done"],
        "grant_types": ["authorization_code"],
    },
    "phone": {"redirect_uris": [f"{ORIGIN}/phone"], "grant_types": ["authorization_code", "refresh_token"]},
}
TRACKER = httpx2.BasicAuth("tracker", "secret-of-the-tracker")
BILLING = httpx2.BasicAuth("billing", "secret-of-billing")
COOKIE = "__Host-ates-auth"


PASSWORD = "a-good-password-of-a-person"


@dataclass(frozen=True)
class Login:
    login: str
    password: str = PASSWORD
    id: str = ""


ADMIN = Login("admin", "a-good-password-of-the-admin")


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Asked:
    """One authorization request: its answer and what is needed to redeem the code."""

    location: str
    verifier: str

    @property
    def answer(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}

    @property
    def code(self) -> str:
        return self.answer["code"]


@dataclass
class Auth:
    """auth_service while it runs."""

    service: Service
    app: FastAPI
    admin_token: str | None = None

    @property
    def settings(self) -> AuthSettings:
        assert isinstance(self.service.settings, AuthSettings)
        return self.service.settings

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """A program that calls the endpoints."""
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url=ISSUER, **options)

    def browser(self) -> "Browser":
        return Browser(self.client(headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}))

    async def signed_in(self, who: Login = ADMIN) -> "Browser":
        browser = self.browser()
        response = await browser.sign_in(who)
        assert response.status_code == 303, response.text
        return browser

    async def token(self, form: dict[str, str], auth: httpx2.BasicAuth | None = TRACKER) -> httpx2.Response:
        async with self.client() as client:
            return await client.post("/token", data=form, auth=auth or httpx2.USE_CLIENT_DEFAULT)

    async def redeem(
        self, asked: Asked, auth: httpx2.BasicAuth | None = TRACKER, **changed: str
    ) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": asked.code,
            "redirect_uri": CALLBACK,
            "code_verifier": asked.verifier,
        }
        return await self.token({k: v for k, v in (form | changed).items() if v}, auth)

    async def refresh(
        self, refresh_token: str, auth: httpx2.BasicAuth | None = TRACKER, **further: str
    ) -> httpx2.Response:
        return await self.token(
            {"grant_type": "refresh_token", "refresh_token": refresh_token, **further}, auth
        )

    async def tokens(self, who: Login = ADMIN) -> dict[str, Any]:
        """Tokens of a person who signed in at the tracker."""
        browser = await self.signed_in(who)
        response = await self.redeem(await browser.authorize())
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def introspected(self, token: str) -> dict[str, Any]:
        async with self.client() as client:
            response = await client.post("/introspect", data={"token": token}, auth=TRACKER)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def api(self, who: Login = ADMIN) -> httpx2.AsyncClient:
        access = (await self.tokens(who))["access_token"]
        return self.client(headers={"Authorization": f"Bearer {access}"})

    async def as_admin(self, method: str, path: str, body: dict[str, Any]) -> httpx2.Response:
        """A call of the administrator, who signs in again only when the last token is good no longer."""
        if self.admin_token is not None:
            response = await self._as_admin(method, path, body)
            if response.status_code != 401:
                return response
        self.admin_token = (await self.tokens())["access_token"]
        return await self._as_admin(method, path, body)

    async def _as_admin(self, method: str, path: str, body: dict[str, Any]) -> httpx2.Response:
        async with self.client(headers={"Authorization": f"Bearer {self.admin_token}"}) as api:
            return await api.request(method, path, json=body)

    async def person(self, role: str = "worker", **further: Any) -> Login:
        """A new account that can sign in."""
        login = f"{role}-{secrets.token_hex(6)}"
        account = {"login": login, "name": f"Name of {login}", "role": role, "password": PASSWORD} | further
        response = await self.as_admin("POST", "/api/v1/accounts", account)
        assert response.status_code == 201, response.text
        return Login(login, account["password"], response.json()["id"])

    async def change(self, who: Login, **changes: Any) -> httpx2.Response:
        return await self.as_admin("PATCH", f"/api/v1/accounts/{who.id}", changes)

    async def claims(self, token: str) -> dict[str, Any]:
        """What a token says, checked with the published keys alone."""
        async with self.client() as client:
            published = (await client.get("/.well-known/jwks.json")).json()
        keys = KeySet.import_key_set(published)
        return jwt.decode(token, keys, algorithms=["ES256", "RS256"]).claims

    async def value(self, sql: str, **parameters: object) -> Any:
        return await self.service.scalar(sql, **parameters)

    async def execute(self, sql: str, **parameters: object) -> None:
        async with self.service.transaction() as session:
            await session.execute(text(sql), parameters)


@dataclass
class Browser:
    """Keeps cookies, follows nothing by itself."""

    http: httpx2.AsyncClient

    async def sign_in(self, who: Login, **form: str) -> httpx2.Response:
        return await self.http.post("/sign-in", data={"login": who.login, "password": who.password, **form})

    async def ask(self, **parameters: str | None) -> httpx2.Response:
        """GET /authorize as the tracker would ask; None takes a parameter away."""
        usual = {
            "response_type": "code",
            "client_id": "tracker",
            "redirect_uri": CALLBACK,
            "scope": "openid profile",
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": challenge_of("v" * 43),
            "code_challenge_method": "S256",
        }
        asked = {name: value for name, value in (usual | parameters).items() if value is not None}
        return await self.http.get("/authorize", params=asked)

    async def authorize(self, **parameters: str | None) -> Asked:
        """The same with a fresh verifier; the answer leads back to the client."""
        verifier = secrets.token_urlsafe(32)
        response = await self.ask(code_challenge=challenge_of(verifier), **parameters)
        assert response.status_code == 303, response.text
        return Asked(response.headers["Location"], verifier)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Auth]:
    """The web application with its lifespan, until the block ends."""
    context = service.database.context
    assert isinstance(context, Context)
    await context.schemas.load(service.says)
    app = web(service.settings, clock=service.clock, schemas=context.schemas)
    async with app.router.lifespan_context(app):
        auth = Auth(service, app)

        async def has_admin() -> bool:
            return bool(await service.scalar("select count(*) from accounts"))

        if auth.settings.first_admin_login is not None:
            await eventually(has_admin)
        yield auth
