"""The endpoints that programs call: tokens, keys, discovery, user info. Shapes are those of the RFCs."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import ImmutableMultiDict

from auth_service.api.described import (
    ABOUT_A_TOKEN_FORM,
    DEVICE_CODE,
    DEVICE_FORM,
    OAUTH_ERRORS,
    PROBLEMS,
    TOKEN_FORM,
    Responses,
)
from auth_service.commands.guesses import note_bad_credential
from auth_service.commands.oauth import (
    RESPONSE_MODES,
    SCOPES,
    OAuthAnswer,
    OAuthCall,
    Provider,
    authorize_device,
    exchange_from_memory,
    exchange_token,
    introspect_token,
    revoke_token,
)
from auth_service.domain.guesses import FORGOTTEN_AFTER
from auth_service.domain.keys import ACCESS_TOKENS, ID_TOKENS, KEY_CACHE_S
from auth_service.domain.tokens import ONE_FACTOR, TWO_FACTORS, profile_claims, read_access_token
from auth_service.queries.guesses import caller_waits_s
from auth_service.queries.keys import Keys
from auth_service.queries.sessions import person_of_token
from auth_service.settings import AuthSettings
from service_kit.database import ReadSession, Session
from service_kit.errors import Forbidden, Malformed, TooMany, Unauthenticated
from service_kit.identity.tokens import InvalidToken
from service_kit.text import LOCALES
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, SettingsDep, runtime_of


class CalledWithTheRequest(APIRoute):
    """A function that takes the request alone, without the framework's search for what it needs.

    That search is a third of the processor time of an exchange that asks the database for nothing. Neither
    is there a unit of work around: what programs send here decides what is opened, and an answer with tokens
    is never kept to be given twice.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


router = ServiceRouter(tags=["protocol"])
exchanges = ServiceRouter(tags=["protocol"], route_class=CalledWithTheRequest)

FIELDS_MAX = 50
FORM = "application/x-www-form-urlencoded"
FormFields = ImmutableMultiDict[str, str]
CLIENT_ID_LENGTH_MAX = 200
NOT_FOR_THIS_TOKEN: Responses = {status: PROBLEMS[status] for status in (400, 401, 403)}
PROOF_ALGORITHMS = ["ES256", "RS256"]
CLIENT_METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]


class InsufficientScope(Forbidden):
    code = "insufficient_scope"


class TokenShownTwice(Malformed):
    code = "invalid_request"


async def own_settings(settings: SettingsDep) -> AuthSettings:
    assert isinstance(settings, AuthSettings)  # noqa: S101  narrows the type for mypy
    return settings


async def key_ring(request: Request) -> Keys:
    keys: Keys = request.app.state.keys
    return keys


OwnSettings = Annotated[AuthSettings, Depends(own_settings)]
KeysDep = Annotated[Keys, Depends(key_ring)]


class ClientGuesses:
    """Clients that fail to prove themselves wait, each at its own address and under its own name.

    The counters are in the database and shared by all processes. They are asked only while this process has
    lately seen a failure: what works well is not slowed down by a look.
    """

    def __init__(self) -> None:
        self._seen_until = 0.0

    @property
    def none_seen(self) -> bool:
        """Whether this process has lately seen nobody fail."""
        return time.monotonic() >= self._seen_until

    async def let_pass(self, session: ReadSession, call: OAuthCall) -> None:
        """Raises `TooMany` for whoever has failed too often, even with the right proof."""
        if self.none_seen:
            return
        wait_s = await caller_waits_s(session, _caller(call))
        if wait_s:
            raise TooMany(_("Too many failed tries. Wait a little and try again."), retry_after_s=wait_s)

    async def note(
        self, session: Session, settings: AuthSettings, call: OAuthCall, answer: OAuthAnswer
    ) -> None:
        if isinstance(answer.body, str) or answer.body.get("error") != "invalid_client":
            return
        self._seen_until = time.monotonic() + FORGOTTEN_AFTER.total_seconds()
        await note_bad_credential(session, settings, _caller(call))


def _caller(call: OAuthCall) -> str:
    return f"{call.address} {call.claimed_client[:CLIENT_ID_LENGTH_MAX]}"


async def token_call(request: Request, settings: AuthSettings) -> OAuthCall:
    """The request as plain data, with the address the public knows and not the one behind the gateway."""
    form = await _form(request)
    return OAuthCall(
        method=request.method,
        uri=f"{settings.issuer}{request.scope['route'].path}",
        form=None if form is None else form.multi_items(),
        authorization=request.headers.get("Authorization"),
        address=request.client.host if request.client else None,
    )


async def _form(request: Request) -> FormFields | None:
    """What the body says in the one encoding that the RFCs know; None where it is of another kind."""
    kind, _semicolon, _parameters = request.headers.get("Content-Type", "").partition(";")
    if kind.strip().lower() != FORM:
        return None
    form = await request.form(max_fields=FIELDS_MAX)
    return ImmutableMultiDict([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


@exchanges.post("/token", openapi_extra=TOKEN_FORM, responses=OAUTH_ERRORS)
async def token(request: Request) -> Response:
    """Exchange a code, a refresh token or a client's own credentials for tokens (RFC 6749)."""
    runtime, state = runtime_of(request), request.app.state
    settings = await own_settings(runtime.settings)
    call = await token_call(request, settings)
    ring = state.keys.remembered()
    if ring is not None and state.client_guesses.none_seen:
        answer = exchange_from_memory(Provider(settings, ring, state.clients), call)
        if answer is not None:
            return _written(answer)
    # Each statement of a renewal is whole in itself; a code becomes several rows at once.
    renewal = call.one("grant_type") == "refresh_token"
    opened = runtime.database.single_writes() if renewal else runtime.database.transaction()
    async with opened as session:
        return await _answered(request, session, call, exchange_token)


@exchanges.post("/device_authorization", openapi_extra=DEVICE_FORM, responses=OAUTH_ERRORS)
async def device_authorization(request: Request) -> Response:
    """Begin the device flow (RFC 8628): a code for the device, a short one for its person."""
    return await _in_transaction(request, authorize_device)


@exchanges.post("/revoke", openapi_extra=ABOUT_A_TOKEN_FORM, responses=OAUTH_ERRORS)
async def revoke(request: Request) -> Response:
    """Withdraw a token (RFC 7009); a refresh token takes its whole family with it."""
    return await _in_transaction(request, revoke_token)


@exchanges.post("/introspect", openapi_extra=ABOUT_A_TOKEN_FORM, responses=OAUTH_ERRORS)
async def introspect(request: Request) -> Response:
    """Tell whether a token holds right now (RFC 7662), blocks and sign-outs included."""
    return await _in_transaction(request, introspect_token)


@router.get("/.well-known/jwks.json")
async def jwks(session: Reading, keys: KeysDep) -> Response:
    """Publish the public keys with which everybody checks our tokens alone (S3-15)."""
    ring = await keys.ring(session)
    return _published(dict(ring.published()))


@router.get("/.well-known/openid-configuration")
async def openid_configuration(settings: OwnSettings) -> Response:
    """Describe the provider (OpenID Connect Discovery)."""
    return _published(
        _metadata(settings)
        | {
            "userinfo_endpoint": f"{settings.issuer}/userinfo",
            "end_session_endpoint": f"{settings.issuer}/logout",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ID_TOKENS, ACCESS_TOKENS],
            "claims_supported": [
                "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "sid", "amr", "acr",
                "name", "preferred_username", "locale", "zoneinfo", "role", "email", "email_verified",
                "phone_number", "phone_number_verified", "address",
            ],
            "acr_values_supported": [ONE_FACTOR, TWO_FACTORS],
            "prompt_values_supported": ["none", "login", "select_account", "consent"],
            "ui_locales_supported": list(LOCALES),
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }
    )  # fmt: skip


@router.get("/.well-known/oauth-authorization-server")
async def authorization_server(settings: OwnSettings) -> Response:
    """Describe the authorization server (RFC 8414)."""
    return _published(_metadata(settings))


@router.get("/userinfo", operation_id="user_info", responses=NOT_FOR_THIS_TOKEN)
@router.post("/userinfo", operation_id="user_info_by_post", responses=NOT_FOR_THIS_TOKEN)
async def user_info(request: Request, session: Reading, keys: KeysDep, settings: OwnSettings) -> JSONResponse:
    """Tell a client about the person who signed in, by the scopes it was granted."""
    token = await _shown_token(request)
    ring = await keys.ring(session)
    # We are the issuer's own endpoint, whatever services the token is for.
    claims = read_access_token(token, ring.public, issuer=settings.issuer, audience=None)
    person = None if claims is None else await person_of_token(session, claims)
    if claims is None or person is None:
        raise InvalidToken(_("This token does not hold. Get a new one and try again."))
    scopes = set(str(claims.get("scope", "")).split())
    if "openid" not in scopes:
        raise InsufficientScope(_("The token was not given for this."))
    return JSONResponse(profile_claims(person, scopes))


async def _shown_token(request: Request) -> str:
    """The token in the header or in the form, never in an address (RFC 6750, 2.1 and 2.2)."""
    scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
    shown = [text.strip()] if scheme.lower() == "bearer" else []
    if request.method == "POST" and (form := await _form(request)) is not None:
        shown += form.getlist("access_token")
    if len(shown) > 1:
        raise TokenShownTwice(_("Show the token once, in the header or in the form."))
    if not shown:
        raise Unauthenticated(_("Sign in to go on."))
    return shown[0]


def _metadata(settings: AuthSettings) -> dict[str, Any]:
    issuer = settings.issuer
    offered = {"registration_endpoint": f"{issuer}/register"}
    return (offered if settings.client_registration_token is not None else {}) | {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "revocation_endpoint": f"{issuer}/revoke",
        "introspection_endpoint": f"{issuer}/introspect",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "device_authorization_endpoint": f"{issuer}/device_authorization",
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", DEVICE_CODE],
        "token_endpoint_auth_methods_supported": [*CLIENT_METHODS, "none"],
        "token_endpoint_auth_signing_alg_values_supported": PROOF_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": [*CLIENT_METHODS, "none"],
        "revocation_endpoint_auth_signing_alg_values_supported": PROOF_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": CLIENT_METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": PROOF_ALGORITHMS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "access_token_signing_alg_values_supported": [ACCESS_TOKENS],
    }


def _published(document: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(document),
        media_type="application/json",
        headers={"Cache-Control": f"public, max-age={KEY_CACHE_S}"},
    )


Command = Callable[[Session, Provider, OAuthCall], Awaitable[OAuthAnswer]]


async def _in_transaction(request: Request, command: Command) -> Response:
    runtime = runtime_of(request)
    call = await token_call(request, await own_settings(runtime.settings))
    async with runtime.database.transaction() as session:
        return await _answered(request, session, call, command)


async def _answered(request: Request, session: Session, call: OAuthCall, command: Command) -> Response:
    """Run one exchange of the protocol and write down its answer, refusals included."""
    state = request.app.state
    settings = await own_settings(runtime_of(request).settings)
    guesses: ClientGuesses = state.client_guesses
    await guesses.let_pass(session, call)
    provider = Provider(settings, await state.keys.ring(session), state.clients)
    answer = await command(session, provider, call)
    await guesses.note(session, settings, call, answer)
    return _written(answer)


def _written(answer: OAuthAnswer) -> Response:
    headers = dict(answer.headers) | {"Cache-Control": "no-store", "Content-Type": "application/json"}
    return Response(orjson.dumps(answer.body), answer.status, headers)
