"""What an application would get, tried out by an administrator: the real checks, and nothing stays."""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from auth_service.commands.oauth.authorizing import Authorized, authorize
from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.requests import OAuthCall
from auth_service.commands.oauth.server import AccessTokens, Provider
from auth_service.domain.tokens import Subject, profile_claims
from auth_service.models import OAuthClient
from service_kit.database import Session
from service_kit.text import message as _

CHALLENGE = "A" * 43


@dataclass(frozen=True)
class Trial:
    """What came of it; no token, only what one would say."""

    answers: list[tuple[str, str | None]]
    """Each address to come back to, and why it did not work; nothing where it did."""

    access_token: dict[str, Any]
    asks: bool
    """Whether people are asked first whether they let the application in."""

    profile: dict[str, Any] | None
    """What the application would learn about the administrator; absent where it signs nobody in."""


async def try_client(
    session: Session, provider: Provider, call: OAuthCall, client_id: str, person: Subject
) -> Trial:
    """Run the application's requests as the protocol would, and take back what they wrote."""
    client = await session.get_one(OAuthClient, client_id)
    # Read only, and still readable when the savepoint is gone.
    session.expunge(client)
    savepoint = await session.begin_nested()
    try:
        answers = [
            (address, await _answer(session, provider, call, client_id, address, person))
            for address in client.redirect_uris
        ]
    finally:
        await savepoint.rollback()
    signs_in = "authorization_code" in client.grant_types
    scope = " ".join(client.scopes)
    generator = AccessTokens(provider)
    grant = "authorization_code" if signs_in else "client_credentials"
    token: str = generator.access_token_generator(
        ProviderClient(client), grant, person if signs_in else None, scope
    )
    body = token.split(".")[1]
    return Trial(
        answers=answers,
        access_token=json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4))),
        asks=client.third_party,
        profile=profile_claims(person, set(client.scopes)) if signs_in else None,
    )


async def _answer(
    session: Session, provider: Provider, call: OAuthCall, client_id: str, address: str, person: Subject
) -> str | None:
    query = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", address),
        ("scope", "openid"),
        ("state", "trial"),
        ("nonce", "trial"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
    # As if the person had let it in: whether people are asked is no mistake.
    outcome = await authorize(session, provider, replace(call, query=query), person, consent=True)
    if not isinstance(outcome, Authorized):
        # With a person, their consent and one of the application's own addresses there is no other reason.
        return _("The application is switched off.")
    answer = parse_qs(urlsplit(outcome.location).query)
    if "code" in answer:
        return None
    return " ".join([*answer.get("error", []), *answer.get("error_description", [])])
