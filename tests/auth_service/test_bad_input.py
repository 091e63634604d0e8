"""Whatever is sent to any address of ours: a clear refusal, no failure of ours, no foreign redirect."""

import asyncio
import base64
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.auth_service.exchange import COOKIE, ORIGIN, Auth

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
NOBODY = "019a0000-0000-7000-8000-000000000000"
NAMES = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "prompt"),
    *("max_age", "code", "code_challenge", "code_verifier", "grant_type", "refresh_token", "device_code"),
    *("user_code", "token", "client_assertion", "client_assertion_type", "client_secret", "id_token_hint"),
    *("acr_values", "ui_locales", "login_hint", "resource", "post_logout_redirect_uri", "request"),
    *("login", "password", "new", "present", "next", "name", "email", "about", "role", "reason", "link"),
    *("search", "cursor", "limit", "act", "version", "blocked", "allowed", "disabled", "here_too", "locale"),
    *("time_zone", "phone", "postal_address", "redirect_uris", "grant_types", "scopes", "audiences", "ids"),
)
VALUES = {
    "empty": "",
    "null byte": "%00",
    "not UTF-8": "%ff%fe",
    "half an escape": "%",
    "quotes": "%27%22%3C%3E%3B--",
    "long": "x" * 700,
    "other script": "%D9%A1%E2%80%AE",
    "a number beyond all": "9" * 400,
    "foreign address": "https%3A%2F%2Fevil.test%2F",
}
QUERIES = {
    **{kind: "&".join(f"{name}={value}" for name in NAMES) for kind, value in VALUES.items()},
    "doubled": "&".join(f"{name}=1&{name}=2" for name in NAMES),
    "many": "&".join(f"a{number}=1" for number in range(1500)),
}
BODIES = {
    **{
        kind: (QUERIES[kind].encode(), FORM)
        for kind in ("null byte", "not UTF-8", "long", "a number beyond all", "foreign address", "doubled")
    },
    "no type": (b"grant_type=x", ""),
    "JSON for a form": (b'{"grant_type": "client_credentials"}', JSON),
    "JSON with a null byte": (b'{"login": "\\u0000", "name": "x", "role": "worker", "credential": {}}', JSON),
    "half a pair": (b'{"login": "\\ud800", "name": "\\ud800", "role": "worker"}', JSON),
    "deep JSON": (b"[" * 50_000, JSON),
    "broken multipart": (b"--x\r\n", "multipart/form-data; boundary=x"),
    "ten megabytes": (b"a=" + b"x" * 10_000_000, FORM),
}
ENDS_THE_SESSION = {"/logout", "/security/sessions/end", "/sign-in"}


def addresses(auth: Auth) -> list[tuple[str, str]]:
    """Every route of the application with its method; ids in paths are of nobody."""
    found = []
    for route in auth.app.routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            if isinstance(one, APIRoute):
                path = re.sub(r"\{client_id\}", "tracker", one.path.replace("{name}", "x"))
                path = re.sub(r"\{\w+\}", NOBODY, path)
                found += [(method, path) for method in sorted(one.methods or ())]
    return sorted(set(found))


OPEN = re.compile(
    r"/(token|revoke|introspect|device_authorization|sign-in|forgotten|new-password|join|logout"
    r"|authorize|userinfo|verify).*"
)
"""What people and programs may send something to before they have proven anything."""

OF_PROGRAMS = re.compile(r"/(token|revoke|introspect|device_authorization)")
"""Nothing else looks at what a client proves itself with."""


@dataclass
class Caller:
    """Sends what it is given as it is: a client's library would mend an address before it leaves."""

    who: str
    app: FastAPI
    headers: dict[str, str]

    async def answer(
        self, method: str, path: str, *, query: str = "", body: bytes = b"", content_type: str = ""
    ) -> tuple[int, str]:
        """Status, and where it leads."""
        headers = self.headers | {"Host": "exchange.test", "Content-Length": str(len(body))}
        if content_type:
            headers["Content-Type"] = content_type
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": f"/auth{path}",
            "raw_path": f"/auth{path}".encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("exchange.test", 443),
        }
        received: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: MutableMapping[str, Any]) -> None:
            received.append(message)

        await self.app(scope, receive, send)
        begin = received[0]
        return begin["status"], dict(begin["headers"]).get(b"location", b"").decode()

    async def faults(self, method: str, path: str, kind: str, **sent: Any) -> list[str]:
        """What is wrong with the answer."""
        status, location = await self.answer(method, path, **sent)
        what = f"{self.who} {kind} {method} {path}"
        found = []
        if status >= 500:
            found.append(f"{what}: {status}")
        if kind == "ten megabytes" and status != 413:
            found.append(f"{what} is taken: {status}")
        if urlsplit(location).netloc not in {"", urlsplit(ORIGIN).netloc}:
            found.append(f"{what} leads to {location}")
        return found

    def may_send(self, method: str, path: str) -> bool:
        """An administrator sends everything everywhere, but stays signed in; others what is open to them."""
        match self.who:
            case "admin":
                return method == "GET" or path not in ENDS_THE_SESSION
            case "client":
                return OF_PROGRAMS.fullmatch(path) is not None
            case _:
                return OPEN.fullmatch(path) is not None


async def callers(auth: Auth) -> list[Caller]:
    page = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    cookie = f"{COOKIE}={(await auth.signed_in()).http.cookies[COOKIE]}"
    proof = base64.b64encode(b"tracker:secret-of-the-tracker").decode()
    return [
        Caller("nobody", auth.app, page),
        Caller("client", auth.app, {"Authorization": f"Basic {proof}"}),
        Caller("admin", auth.app, page | {"Cookie": cookie}),
    ]


class TestEveryAddress:
    async def test_is_found(self, auth: Auth) -> None:
        """The list of addresses is that of the application, or the tests below would check nothing."""
        found = addresses(auth)
        for known in (("POST", "/token"), ("GET", "/authorize"), ("POST", "/join"), ("POST", "/consent")):
            assert known in found
        assert len(found) > 70

    async def test_queries(self, own_auth: Auth) -> None:
        """No query makes an address fail, whoever asks."""
        faults: list[str] = []
        for caller in await callers(own_auth):
            for method, path in addresses(own_auth):
                if method == "GET" and caller.may_send(method, path):
                    sent = (caller.faults(method, path, kind, query=query) for kind, query in QUERIES.items())
                    faults += chain(*await asyncio.gather(*sent))
        assert faults == []
        # Still signed in: whatever was sent did arrive.
        assert await caller.answer("GET", "/profile") == (200, "")

    async def test_bodies(self, own_auth: Auth) -> None:
        """No body makes an address fail, whoever sends it; what is too large is not even read."""
        faults: list[str] = []
        for caller in await callers(own_auth):
            for method, path in addresses(own_auth):
                if method != "GET" and caller.may_send(method, path):
                    sent = (
                        caller.faults(method, path, kind, body=body, content_type=content_type)
                        for kind, (body, content_type) in BODIES.items()
                    )
                    faults += chain(*await asyncio.gather(*sent))
        assert faults == []
        assert await caller.answer("GET", "/profile") == (200, "")

    async def test_errors_of_the_protocol(self, auth: Auth) -> None:
        """Programs get the error codes of the RFCs, as JSON, whatever they sent."""
        async with auth.client() as client:
            for path, error in (("/token", "unsupported_grant_type"), ("/introspect", "invalid_client")):
                answer = await client.post(path, data={"grant_type": "x" * 5000, "token": "x" * 5000})
                assert answer.json()["error"] in {error, "invalid_request"}, path
                assert answer.headers["Cache-Control"] == "no-store"
