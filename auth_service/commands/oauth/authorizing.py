"""The authorization endpoint: may this client have a code for this person, and what has to happen before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AccessDeniedError,
    InvalidRequestError,
    InvalidScopeError,
    UnsupportedResponseTypeError,
)
from sqlalchemy.orm import Session as SyncSession

from auth_service.commands.oauth.client import ProviderClient
from auth_service.commands.oauth.consent import give_consent
from auth_service.commands.oauth.grants import AuthorizationCodeGrant, S256Required
from auth_service.commands.oauth.id_tokens import IdTokenByCode
from auth_service.commands.oauth.requests import OAuthAnswer, OAuthCall, ProviderRequest
from auth_service.commands.oauth.resources import allowed_audiences, chosen_audiences
from auth_service.commands.oauth.server import Provider, ProviderServer
from auth_service.domain.tokens import TWO_FACTORS, Subject, read_id_token_hint
from auth_service.models import Account, Consent, TotpFactor
from service_kit.database import Session

PARAMETER_LENGTH_MAX = 2000
RESPONSE_MODES = ("query", "form_post")


@dataclass(frozen=True)
class Authorized:
    """Send the browser back to the client, with a code or with an error."""

    location: str


@dataclass(frozen=True)
class PostedBack:
    """The same by a form (OAuth 2.0 Form Post Response Mode): nothing of the answer stands in an address."""

    address: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class ConsentNeeded:
    """Ask the person whether this application may know all this."""

    client_id: str
    client_name: str
    scopes: Sequence[str]
    services: Sequence[str]
    """Addresses of the services that it could call in the person's name."""

    address: str
    """Where the answer goes."""


@dataclass(frozen=True)
class SignInNeeded:
    """Let the person sign in, then come back to the same request."""

    login_hint: str | None
    again: bool
    """Whether a present session does not do: the client wants a fresh sign-in."""


@dataclass(frozen=True)
class Refused:
    """Tell the person, never the address in the request: nobody proved that it belongs to a client."""

    reason: str


Outcome = Authorized | PostedBack | SignInNeeded | ConsentNeeded | Refused


class LoginRequiredError(OAuth2Error):
    """The client asked not to show a page, and it cannot be done without one (Core, 3.1.2.6)."""

    error = "login_required"
    description = "The person has to sign in."


class ConsentRequiredError(OAuth2Error):
    error = "consent_required"
    description = "The person has to let the application in."


async def authorize(
    session: Session,
    provider: Provider,
    call: OAuthCall,
    person: Subject | None,
    *,
    consent: bool | None = None,
) -> Outcome:
    """Answer an authorization request of `person`, who is absent when nobody is signed in.

    `consent` is what the person has just said to this very request.
    """

    def run(sync_session: SyncSession) -> Outcome:
        server = ProviderServer(sync_session, provider, call)
        return _Authorization(server, call, person, consent=consent).outcome()

    return await session.run_sync(run)


class _Authorization:
    """One request on its way through the checks, in the order that keeps wrong addresses from being used."""

    def __init__(
        self, server: ProviderServer, call: OAuthCall, person: Subject | None, *, consent: bool | None
    ) -> None:
        self._server = server
        self._call = call
        self._person = person
        self._consent = consent
        self._hinted: dict[str, Any] | None = None
        self._audiences: list[str] = []
        server.register_grant(AuthorizationCodeGrant, [S256Required(), IdTokenByCode(server.provider)])

    def outcome(self) -> Outcome:
        refusal = self._refuse_address()
        if refusal is not None:
            return Refused(refusal)
        try:
            self._refuse_unclear()
            # The request is checked before a person types a password for it, or is asked anything.
            grant = self._server.get_consent_grant(self._call, end_user=self._person)
            self._refuse_no_scope(grant.request)
            needed = self._sign_in_needed() or self._consent_needed(grant.request)
            if needed is not None:
                return needed
            return self._answered(self._code())
        except OAuth2Error as error:
            return self._answered(self._fault(error))
        except ValueError:
            # Authlib refuses to repeat unusual characters in its error texts.
            return self._answered(self._fault(InvalidRequestError("A parameter has forbidden characters.")))

    def _refuse_address(self) -> str | None:
        """Without a known client and one of its own addresses there is nowhere to send the browser."""
        names = [name for name, _ in self._call.parameters]
        if names.count("client_id") > 1 or names.count("redirect_uri") > 1:
            return "twice"
        client_id, address = self._call.one("client_id"), self._call.one("redirect_uri")
        if client_id is None or len(client_id) > PARAMETER_LENGTH_MAX or "\x00" in client_id:
            return "client"
        client = self._server.query_client(client_id)
        if client is None:
            return "client"
        if address is None or not client.check_redirect_uri(address):
            return "address"
        return None

    def _refuse_unclear(self) -> None:
        if self._call.doubled() is not None:
            raise InvalidRequestError("A parameter is there twice.")
        if any(len(value) > PARAMETER_LENGTH_MAX or "\x00" in value for _, value in self._call.parameters):
            raise InvalidRequestError("A parameter is too long or has forbidden characters.")
        self._refuse_response_type()
        if self._call.one("response_mode") not in {None, *RESPONSE_MODES}:
            raise InvalidRequestError("This response_mode is not supported.")
        self._refuse_request_object()
        if (age := self._call.one("max_age")) is not None and not (age.isascii() and age.isdigit()):
            raise InvalidRequestError("Invalid max_age.")
        prompts = (self._call.one("prompt") or "").split()
        if "none" in prompts and len(prompts) > 1:
            raise InvalidRequestError("Invalid prompt.")
        client = self._server.query_client(self._call.one("client_id") or "")
        if client is not None:
            allowed = allowed_audiences(self._server.settings, client.row)
            self._audiences = chosen_audiences(allowed, None, self._call.resources)
        if (hint := self._call.one("id_token_hint")) is not None:
            self._hinted = read_id_token_hint(
                hint, self._server.provider.ring.public, issuer=self._server.settings.issuer
            )
            if self._hinted is None:
                raise InvalidRequestError("Invalid id_token_hint.")

    def _refuse_response_type(self) -> None:
        wanted = self._call.one("response_type")
        if wanted is None:
            raise InvalidRequestError("Missing 'response_type'")
        if wanted != "code":
            raise UnsupportedResponseTypeError(wanted)

    def _refuse_request_object(self) -> None:
        for name in ("request", "request_uri"):
            if self._call.one(name):
                raise _RequestObjectError(name)

    def _refuse_no_scope(self, request: ProviderRequest) -> None:
        """Refuse a request of which nothing would be granted."""
        if not request.client.get_allowed_scope(self._call.one("scope")):
            raise InvalidScopeError

    def _sign_in_needed(self) -> SignInNeeded | None:
        prompts = (self._call.one("prompt") or "").split()
        person, silent = self._person, "none" in prompts
        if (
            person is not None
            and not self._is_too_old(person)
            and not self._is_somebody_else(person)
            and not {"login", "select_account"} & set(prompts)
            and (silent or not self._is_too_weak(person))
        ):
            return None
        if silent:
            raise LoginRequiredError
        return SignInNeeded(login_hint=self._hinted_login(), again=person is not None)

    def _is_somebody_else(self, person: Subject) -> bool:
        return self._hinted is not None and self._hinted.get("sub") != str(person.guid)

    def _hinted_login(self) -> str | None:
        hint = self._call.one("login_hint")
        if hint is not None or self._hinted is None:
            return hint
        account = self._server.session.get(Account, UUID(str(self._hinted["sub"])))
        return None if account is None else account.login

    def _is_too_weak(self, person: Subject) -> bool:
        """Two factors are preferred, and the person has set up a second one since this sign-in.

        A voluntary claim (Core, 3.1.2.1): who has no second factor goes on, and the client reads `acr`.
        """
        wanted = (self._call.one("acr_values") or "").split()
        if not wanted or wanted[0] != TWO_FACTORS or person.assurance == TWO_FACTORS:
            return False
        factor = self._server.session.get(TotpFactor, person.guid)
        return factor is not None and factor.confirmed_at is not None

    def _consent_needed(self, request: ProviderRequest) -> ConsentNeeded | None:
        person = self._person
        assert person is not None  # noqa: S101  the sign-in comes before
        client: ProviderClient = request.client
        prompts = (self._call.one("prompt") or "").split()
        scopes = client.get_allowed_scope(self._call.one("scope")).split()
        if self._consent is False:
            raise AccessDeniedError
        if self._consent:
            give_consent(self._server, person.guid, client.client_id, scopes)
            return None
        given = self._server.session.get(Consent, (person.guid, client.client_id))
        known = not client.row.third_party or (given is not None and set(scopes) <= set(given.scopes))
        if known and "consent" not in prompts:
            return None
        if "none" in prompts:
            raise ConsentRequiredError
        return ConsentNeeded(
            client.client_id, client.row.name, scopes, self._audiences, self._call.one("redirect_uri") or ""
        )

    def _is_too_old(self, person: Subject) -> bool:
        age = self._call.one("max_age")
        if age is None:
            return False
        return datetime.now(UTC).timestamp() - person.authenticated_at > int(age[:10])

    def _code(self) -> dict[str, str]:
        grant = self._server.get_consent_grant(self._call, end_user=self._person)
        request: ProviderRequest = grant.request
        answer: OAuthAnswer = self._server.create_authorization_response(
            request, grant_user=self._person, grant=grant
        )
        location = dict(answer.headers).get("Location")
        if location is None:
            raise InvalidRequestError("The request cannot be answered.")
        # Authlib wrote an address; the answer is what it added to it.
        added = parse_qsl(urlsplit(location).query)
        return {name: value for name, value in added if name in {"code", "state"}}

    def _fault(self, error: OAuth2Error) -> dict[str, str]:
        parameters = {"error": str(error.error)}
        if description := error.get_error_description():
            # Only printable ASCII without quotes may stand there (RFC 6749, 4.1.2.1).
            parameters["error_description"] = "".join(
                letter for letter in description if " " <= letter <= "~" and letter not in '"\\'
            )
        if state := self._call.one("state"):
            parameters["state"] = state
        return parameters

    def _answered(self, parameters: dict[str, str]) -> Authorized | PostedBack:
        address = self._call.one("redirect_uri") or ""
        # RFC 9207: the client sees who answered, so that answers of two providers cannot be mixed up.
        parameters["iss"] = self._server.settings.issuer
        if self._call.one("response_mode") == "form_post":
            return PostedBack(address, parameters)
        return Authorized(_with_parameters(address, parameters))


class _RequestObjectError(OAuth2Error):
    """OpenID Connect Core, 3.1.2.6: one error for each of the two ways."""

    description = "Request objects are not supported."

    def __init__(self, name: str) -> None:
        super().__init__()
        self.error = f"{name}_not_supported"


def _with_parameters(address: str, parameters: Mapping[str, str]) -> str:
    separator = "&" if urlsplit(address).query else "?"
    return f"{address}{separator}{urlencode(parameters)}"
