"""Clients that register themselves (RFC 7591) and keep their description (RFC 7592).

Only with the operator's initial token; off without one. What registers itself is an application of others:
people are asked for their consent, and its tokens open no service.
"""

import hmac
from typing import Annotated, Any, Literal, Self

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from auth_service.api.described import OAUTH_ERRORS, PROBLEMS, Responses
from auth_service.api.protocol import OwnSettings
from auth_service.commands.clients import (
    register_client,
    replace_registration,
    withdraw_registration,
)
from auth_service.commands.guesses import admit_address, guessed_right
from auth_service.commands.oauth import PRIVATE_KEY_JWT, ProviderClient
from auth_service.domain.clients import ClientForm, MalformedClient, Proof, public_keys
from auth_service.domain.keys import ID_TOKENS, Algorithm
from auth_service.domain.tokens import digest
from auth_service.models import OAuthClient
from auth_service.queries.clients import client_if_known
from auth_service.settings import AuthSettings
from service_kit.errors import NotFound, ServiceError, TooMany
from service_kit.identity.tokens import InvalidToken
from service_kit.text import message as _
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(prefix="/register", tags=["protocol"])

LINE_MAX = 500
LIST_MAX = 20
TOKEN_LENGTH_MAX = 200
RETRY_AFTER_S = 60
OWN_GRANTS = ("authorization_code", "refresh_token")
NOBODY: Responses = {status: PROBLEMS[status] for status in (401, 404)}

Line = Annotated[str, Field(max_length=LINE_MAX)]
Lines = Annotated[tuple[Line, ...], Field(max_length=LIST_MAX)]
Method = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]


class Metadata(BaseModel):
    """What a client says about itself (RFC 7591, 2); what we do not know is left out, as the RFC wants it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    client_name: Line = "An application"
    redirect_uris: Lines = ()
    post_logout_redirect_uris: Lines = ()
    backchannel_logout_uri: Line | None = None
    token_endpoint_auth_method: Method = "client_secret_basic"  # noqa: S105  the name of a method
    jwks: Annotated[dict[str, Any], AfterValidator(public_keys)] | None = None
    jwks_uri: Any = Field(default=None, exclude=True)
    grant_types: tuple[Literal["authorization_code", "refresh_token"], ...] = ("authorization_code",)
    response_types: tuple[Literal["code"], ...] = ("code",)
    scope: Line = "openid profile"
    id_token_signed_response_alg: Algorithm = ID_TOKENS
    client_id: Line | None = Field(default=None, exclude=True)
    client_secret: Line | None = Field(default=None, exclude=True)
    """Both are shown by a client that describes itself anew, and never taken from there."""

    @model_validator(mode="before")
    @classmethod
    def keys_are_for_proofs(cls, said: Any) -> Any:
        """Leave out what is of use only to somebody who proves themselves by a key."""
        if not isinstance(said, dict) or said.get("token_endpoint_auth_method") == PRIVATE_KEY_JWT:
            return said
        return {name: value for name, value in said.items() if name not in {"jwks", "jwks_uri"}}

    @model_validator(mode="after")
    def proofs_need_keys(self) -> Self:
        by_key = self.token_endpoint_auth_method == PRIVATE_KEY_JWT
        if by_key and (self.jwks is None or self.jwks_uri is not None):
            raise ValueError("private_key_jwt needs jwks; nothing is fetched from a jwks_uri")
        return self

    @property
    def proof(self) -> Proof:
        return Proof(self.token_endpoint_auth_method, self.jwks)

    def form(self) -> ClientForm:
        return ClientForm(
            name=self.client_name,
            redirect_uris=self.redirect_uris,
            post_logout_redirect_uris=self.post_logout_redirect_uris,
            backchannel_logout_uri=self.backchannel_logout_uri,
            grant_types=self.grant_types,
            scopes=tuple(self.scope.split()),
            third_party=True,
            id_token_alg=self.id_token_signed_response_alg,
        )


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400)


async def _metadata(request: Request) -> Metadata | Response:
    try:
        return Metadata.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        kind = "invalid_redirect_uri" if field.startswith("redirect_uris") else "invalid_client_metadata"
        # Only what our own checks say repeats nothing of what was sent.
        why = first["ctx"]["error"] if first["type"] == "value_error" else field or "the document"
        return _refused(kind, f"This does not fit: {why}"[:LINE_MAX])


async def shown_token(request: Request, settings: OwnSettings) -> str:
    """The bearer token of the request, counted before it is compared. Raises `TooMany`, `InvalidToken`."""
    if settings.client_registration_token is None:
        raise NotFound
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    address = request.client.host if request.client else "unknown"
    async with runtime_of(request).database.transaction() as session:
        if not await admit_address(session, settings, address):
            raise TooMany(
                _("Too many failed tries. Wait a little and try again."), retry_after_s=RETRY_AFTER_S
            )
    if scheme.lower() != "bearer" or not 0 < len(token) <= TOKEN_LENGTH_MAX:
        raise _invalid()
    return token


Token = Annotated[str, Depends(shown_token)]


async def own_registration(request: Request, token: Token, client_id: str) -> OAuthClient:
    """The client that this registration token belongs to; an unknown one looks like a wrong token."""
    async with runtime_of(request).database.reading() as session:
        client = None if "\x00" in client_id else await client_if_known(session, client_id)
    expected = client.registration_digest if client is not None else None
    if client is None or expected is None or not hmac.compare_digest(expected, digest(token)):
        raise _invalid()
    await _take_back(request)
    return client


Own = Annotated[OAuthClient, Depends(own_registration)]


@router.post("", status_code=201, response_class=JSONResponse, responses=OAUTH_ERRORS | {404: PROBLEMS[404]})
async def register(request: Request, settings: OwnSettings, token: Token) -> Response:
    """Register a client; its secret and the token for its description are told this once."""
    expected = settings.client_registration_token
    if expected is None or not hmac.compare_digest(digest(expected.get_secret_value()), digest(token)):
        raise _invalid()
    await _take_back(request)
    metadata = await _metadata(request)
    if isinstance(metadata, Response):
        return metadata
    try:
        async with runtime_of(request).database.transaction() as session:
            made = await register_client(session, metadata.form(), metadata.proof)
    except MalformedClient as error:
        return _refused(_kind(error), str(error))
    told = _told(settings, made.client_id, metadata, made.registration_token)
    told["client_id_issued_at"] = made.issued_at
    if made.secret is not None:
        # It does not end by itself (RFC 7591, 3.2.1).
        told |= {"client_secret": made.secret, "client_secret_expires_at": 0}
    return JSONResponse(told, 201)


@router.get("/{client_id}", response_class=JSONResponse, responses=NOBODY)
async def show(settings: OwnSettings, client: Own, token: Token) -> Response:
    """Tell a client how it is described; of its secret there is only a digest."""
    metadata = Metadata.model_validate(
        {
            "client_name": client.name,
            "redirect_uris": client.redirect_uris,
            "post_logout_redirect_uris": client.post_logout_redirect_uris,
            "backchannel_logout_uri": client.backchannel_logout_uri,
            "token_endpoint_auth_method": client.auth_method
            or ("client_secret_basic" if client.secret_digest else "none"),
            "jwks": client.jwks,
            # An administrator may have let it do more than it can say of itself.
            "grant_types": [one for one in client.grant_types if one in OWN_GRANTS],
            "scope": " ".join(client.scopes),
            "id_token_signed_response_alg": client.id_token_alg,
        }
    )
    return JSONResponse(_told(settings, client.client_id, metadata, token))


@router.put("/{client_id}", response_class=JSONResponse, responses=OAUTH_ERRORS | {404: PROBLEMS[404]})
async def replace(request: Request, settings: OwnSettings, client: Own) -> Response:
    """Describe a client anew; its id and secret stay, and whether it has one. Answers a new token."""
    metadata = await _metadata(request)
    if isinstance(metadata, Response):
        return metadata
    if (wrong := _of_another(client, metadata)) is not None:
        return _refused("invalid_client_metadata", f"This is not of this client: {wrong}")
    try:
        async with runtime_of(request).database.transaction() as session:
            token = await replace_registration(session, client.client_id, metadata.form(), metadata.proof)
    except MalformedClient as error:
        return _refused(_kind(error), str(error))
    request.app.state.clients.forget()
    return JSONResponse(_told(settings, client.client_id, metadata, token))


@router.delete(
    "/{client_id}",
    status_code=204,
    response_class=Response,
    responses={401: PROBLEMS[401], 404: PROBLEMS[404]},
)
async def withdraw(request: Request, client: Own) -> Response:
    """Give the registration up: the client is switched off, and its refresh tokens end."""
    async with runtime_of(request).database.transaction() as session:
        await withdraw_registration(session, client.client_id)
    request.app.state.clients.forget()
    return Response(status_code=204)


def _of_another(client: OAuthClient, metadata: Metadata) -> str | None:
    """The field in which a new description is of another client (RFC 7592, 2.2)."""
    if metadata.client_id != client.client_id:
        return "client_id"
    secret = metadata.client_secret
    if secret is not None and not ProviderClient(client).check_client_secret(secret):
        return "client_secret"
    same_kind = (metadata.proof.has_secret, metadata.jwks is None) == (
        client.secret_digest is not None,
        client.jwks is None,
    )
    return None if same_kind else "token_endpoint_auth_method"


def _told(settings: AuthSettings, client_id: str, metadata: Metadata, token: str) -> dict[str, Any]:
    """What every answer says (RFC 7592, 3); the token is the one that is good from now on."""
    return metadata.model_dump(mode="json", exclude_none=True) | {
        "client_id": client_id,
        "registration_client_uri": f"{settings.issuer}/register/{client_id}",
        "registration_access_token": token,
    }


async def _take_back(request: Request) -> None:
    address = request.client.host if request.client else "unknown"
    async with runtime_of(request).database.transaction() as session:
        await guessed_right(session, address)


def _kind(error: ServiceError) -> str:
    first = error.errors[0].field if error.errors else ""
    return "invalid_redirect_uri" if first == "redirect_uris" else "invalid_client_metadata"


def _invalid() -> InvalidToken:
    return InvalidToken(_("This token does not hold. Get a new one and try again."))
