"""Authlib's own client: a code with PKCE, renewal, user info, introspection, revocation, a program."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client

from tests.auth_service.exchange import CALLBACK, ISSUER, Auth

TOKEN = f"{ISSUER}/token"


@asynccontextmanager
async def client_of(auth: Auth, *names: Any, **options: Any) -> AsyncIterator[Any]:
    async with AsyncOAuth2Client(*names, transport=httpx2.ASGITransport(app=auth.app), **options) as client:
        yield client


async def test_a_person(auth: Auth) -> None:
    """Signs in, is renewed and is let go of."""
    person, verifier = await auth.person(), "v" * 43
    tracker = client_of(
        *(auth, "tracker", "secret-of-the-tracker"),
        redirect_uri=CALLBACK,
        scope="openid profile",
        code_challenge_method="S256",
    )
    async with tracker as client:
        address, state = client.create_authorization_url(f"{ISSUER}/authorize", code_verifier=verifier)
        browser = await auth.signed_in(person)
        location = (await browser.http.get(address)).headers["Location"]
        token = await client.fetch_token(
            TOKEN, authorization_response=location, state=state, code_verifier=verifier
        )
        assert (await client.get(f"{ISSUER}/userinfo")).json()["sub"] == person.id
        renewed = await client.refresh_token(TOKEN, refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        access = renewed["access_token"]
        known = await client.introspect_token(f"{ISSUER}/introspect", token=access)
        assert known.json()["active"] is True
        await client.revoke_token(f"{ISSUER}/revoke", token=renewed["refresh_token"])
        again = await auth.refresh(renewed["refresh_token"])
        assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
async def test_a_program(auth: Auth, way: str) -> None:
    """Gets a token of its own, by its secret in a header or in the form."""
    secret = "secret-of-the-tracker"
    async with client_of(auth, "tracker", secret, token_endpoint_auth_method=way) as client:
        token = await client.fetch_token(TOKEN, grant_type="client_credentials")
        assert (await auth.claims(token["access_token"]))["client_id"] == "tracker"
