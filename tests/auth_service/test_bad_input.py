"""Odd queries at any address of ours: a clear refusal, no failure of ours, no foreign redirect."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi.routing import APIRoute

from tests.auth_service.exchange import ORIGIN, Auth

NAMES = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt", "max_age", "code"),
    *(
        "grant_type",
        "refresh_token",
        "device_code",
        "user_code",
        "token",
        "client_assertion",
        "id_token_hint",
    ),
    *("client_assertion_type", "post_logout_redirect_uri", "login", "password", "next", "name", "role"),
    *("search", "cursor", "limit", "act", "version", "blocked", "allowed", "here_too", "locale", "time_zone"),
)
VALUES = {"empty": "", "null byte": "%00"}


def queries() -> Iterator[tuple[str, str]]:
    for kind, value in VALUES.items():
        yield kind, "&".join(f"{name}={value}" for name in NAMES)


def addresses(auth: Auth) -> list[tuple[str, str]]:
    """Every route of the application with its method; ids in paths are of nobody."""
    found = []
    for route in auth.app.routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            if isinstance(one, APIRoute):
                path = one.path.replace("{account_id}", "019a0000-0000-7000-8000-000000000000")
                path = path.replace("{session_id}", "019a0000-0000-7000-8000-000000000000")
                found += [(method, path.replace("{name}", "x")) for method in sorted(one.methods or ())]
    return sorted(set(found))


def check(answer: httpx2.Response, what: str) -> None:
    assert answer.status_code < 500, f"{what}: {answer.status_code}"
    target = urlsplit(answer.headers.get("Location", ""))
    assert target.netloc in {"", urlsplit(ORIGIN).netloc}, f"{what} leads to {target.netloc}"


class TestEveryAddress:
    async def test_is_found(self, auth: Auth) -> None:
        """The list of addresses is that of the application, or the tests below would check nothing."""
        found = addresses(auth)
        assert {("POST", "/token"), ("GET", "/authorize"), ("POST", "/sign-in"), ("GET", "/audit")} <= set(
            found
        )
        assert len(found) > 40

    @pytest.mark.parametrize("kind", [kind for kind, _query in queries()])
    async def test_queries(self, own_auth: Auth, kind: str) -> None:
        """No query makes an address fail, signed in or not."""
        query = dict(queries())[kind]
        for browser in (own_auth.browser(), await own_auth.signed_in()):
            for method, path in addresses(own_auth):
                if method == "GET":
                    check(await browser.http.get(f"{path}?{query}"), f"{method} {path}")
