"""The endpoints that clients call directly: token, revocation, introspection."""

from collections.abc import Callable
from functools import partial
from typing import cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from sqlalchemy.orm import Session as SyncSession

from auth_service.commands.oauth.assertions import PrivateKeyJwt
from auth_service.commands.oauth.client import PRIVATE_KEY_JWT
from auth_service.commands.oauth.devices import DeviceAuthorization, DeviceCodeGrant
from auth_service.commands.oauth.endpoints import Introspection, Revocation
from auth_service.commands.oauth.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    S256Required,
)
from auth_service.commands.oauth.id_tokens import IdTokenByCode, IdTokenByRefresh
from auth_service.commands.oauth.refreshing import RefreshTokenGrant
from auth_service.commands.oauth.requests import OAuthAnswer, OAuthCall
from auth_service.commands.oauth.server import Provider, ProviderServer
from service_kit.database import Session

OK = 200


async def exchange_token(session: Session, provider: Provider, call: OAuthCall) -> OAuthAnswer:
    return await _answer(session, provider, call, partial(_token, call))


def exchange_from_memory(provider: Provider, call: OAuthCall) -> OAuthAnswer | None:
    """Answer a client that this process remembers and that asks in its own name.

    Nothing is read or written then, and a transaction would be a quarter of the work. None where the database
    has to be asked, or has to note a client that could not prove itself.
    """
    if call.one("grant_type") != "client_credentials":
        return None
    try:
        answer = _run(cast("SyncSession", _Unopened()), provider, call, partial(_token, call))
    except _DatabaseNeeded:
        return None
    return answer if answer.status == OK else None


def _token(call: OAuthCall, server: ProviderServer) -> OAuthAnswer:
    if call.one("grant_type") is None:
        raise InvalidRequestError("Missing 'grant_type'")
    provider = server.provider
    server.register_grant(AuthorizationCodeGrant, [S256Required(), IdTokenByCode(provider)])
    server.register_grant(RefreshTokenGrant, [IdTokenByRefresh(provider)])
    server.register_grant(ClientCredentialsGrant)
    server.register_grant(DeviceCodeGrant, [IdTokenByRefresh(provider)])
    answer: OAuthAnswer = server.create_token_response(call)
    return answer


class _DatabaseNeeded(Exception):
    """What was tried from memory needs a transaction."""


class _Unopened:
    """Stands where a session would; whoever uses it finds out that one is needed."""

    def __getattr__(self, name: str) -> object:
        raise _DatabaseNeeded(name)


async def authorize_device(session: Session, provider: Provider, call: OAuthCall) -> OAuthAnswer:
    def inside(server: ProviderServer) -> OAuthAnswer:
        server.register_endpoint(DeviceAuthorization)
        answer: OAuthAnswer = server.create_endpoint_response(DeviceAuthorization.ENDPOINT_NAME, call)
        return answer

    return await _answer(session, provider, call, inside)


async def revoke_token(session: Session, provider: Provider, call: OAuthCall) -> OAuthAnswer:
    def inside(server: ProviderServer) -> OAuthAnswer:
        server.register_endpoint(Revocation)
        answer: OAuthAnswer = server.create_endpoint_response(Revocation.ENDPOINT_NAME, call)
        return answer

    return await _answer(session, provider, call, inside)


async def introspect_token(session: Session, provider: Provider, call: OAuthCall) -> OAuthAnswer:
    def inside(server: ProviderServer) -> OAuthAnswer:
        server.register_endpoint(Introspection)
        answer: OAuthAnswer = server.create_endpoint_response(Introspection.ENDPOINT_NAME, call)
        return answer

    return await _answer(session, provider, call, inside)


async def _answer(
    session: Session, provider: Provider, call: OAuthCall, inside: Callable[[ProviderServer], OAuthAnswer]
) -> OAuthAnswer:
    """Run the whole exchange on the caller's transaction.

    A refusal is an answer, not an exception: what it wrote (a revoked family, an audit line) is committed.
    """
    return await session.run_sync(_run, provider, call, inside)


def _run(
    session: SyncSession, provider: Provider, call: OAuthCall, inside: Callable[[ProviderServer], OAuthAnswer]
) -> OAuthAnswer:
    server = ProviderServer(session, provider, call)
    server.register_client_auth_method(PRIVATE_KEY_JWT, PrivateKeyJwt(server))
    try:
        _refuse_ambiguous(call)
        answer = inside(server)
    except OAuth2Error as error:
        answer = server.handle_response(*error())
    except ValueError:
        # Authlib puts input into its error texts and refuses to when that is not plain ASCII; the
        # message would repeat the input, so it is dropped.
        refusal = InvalidRequestError("A parameter has forbidden characters.")
        answer = server.handle_response(*refusal())
    return answer


def _refuse_ambiguous(call: OAuthCall) -> None:
    if call.form is None:
        raise InvalidRequestError("The body has to be application/x-www-form-urlencoded.")
    if call.doubled() is not None:
        raise InvalidRequestError("A parameter is there twice.")
    if any("\x00" in value for _, value in call.form):
        raise InvalidRequestError("A parameter has forbidden characters.")
    proofs = (call.basic, call.one("client_secret"), call.one("client_assertion"))
    if sum(proof is not None for proof in proofs) > 1:
        raise InvalidRequestError("Use one method of client authentication, not two.")
    named = call.one("client_id")
    if call.basic is not None and named is not None and call.claimed_client not in {"", named}:
        raise InvalidRequestError("The form names another client than the header.")
