"""Whatever is sent to any address of ours: a clear refusal, no failure of ours, no foreign redirect."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
from fastapi.routing import APIRoute

from tests.auth_service.exchange import ORIGIN, TRACKER, Auth

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


def faults_of(answer: httpx2.Response, what: str) -> list[str]:
    found = []
    if answer.status_code >= 500:
        found.append(f"{what}: {answer.status_code}")
    target = urlsplit(answer.headers.get("Location", ""))
    if target.netloc not in {"", urlsplit(ORIGIN).netloc}:
        found.append(f"{what} leads to {target.netloc}")
    return found


OPEN = re.compile(
    r"/(token|revoke|introspect|device_authorization|sign-in|forgotten|new-password|join|logout"
    r"|authorize|userinfo|verify).*"
)
"""What people and programs may send something to before they have proven anything."""


async def callers(auth: Auth) -> AsyncIterator[tuple[str, httpx2.AsyncClient]]:
    yield "nobody", auth.browser().http
    yield "client", auth.client(auth=TRACKER)
    yield "admin", (await auth.signed_in()).http


def may_send(who: str, method: str, path: str) -> bool:
    """An administrator sends everything everywhere, but stays signed in; the others what is open to them."""
    if method == "GET":
        return False
    return path not in ENDS_THE_SESSION if who == "admin" else OPEN.fullmatch(path) is not None


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
        async for who, http in callers(own_auth):
            for kind, query in QUERIES.items():
                for method, path in addresses(own_auth):
                    if method == "GET" and (who == "admin" or OPEN.fullmatch(path)):
                        faults += faults_of(await http.get(f"{path}?{query}"), f"{who} {kind} {path}")
        assert faults == []

    async def test_bodies(self, own_auth: Auth) -> None:
        """No body makes an address fail, whoever sends it; what is too large is not even read."""
        faults: list[str] = []
        async for who, http in callers(own_auth):
            for kind, (body, content_type) in BODIES.items():
                for method, path in addresses(own_auth):
                    if not may_send(who, method, path):
                        continue
                    headers = {"Content-Type": content_type} if content_type else {}
                    answer = await http.request(method, path, content=body, headers=headers)
                    faults += faults_of(answer, f"{who} {kind} {method} {path}")
                    if kind == "ten megabytes" and answer.status_code != 413:
                        faults.append(f"{who} {path} took ten megabytes: {answer.status_code}")
        assert faults == []

    async def test_errors_of_the_protocol(self, auth: Auth) -> None:
        """Programs get the error codes of the RFCs, as JSON, whatever they sent."""
        async with auth.client() as client:
            for path, error in (("/token", "unsupported_grant_type"), ("/introspect", "invalid_client")):
                answer = await client.post(path, data={"grant_type": "x" * 5000, "token": "x" * 5000})
                assert answer.json()["error"] in {error, "invalid_request"}, path
                assert answer.headers["Cache-Control"] == "no-store"
