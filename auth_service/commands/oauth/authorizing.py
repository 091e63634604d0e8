"""The authorization endpoint: may this client have a code for this person, and what has to happen before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError
from sqlalchemy.orm import Session as SyncSession

from auth_service.commands.oauth.grants import AuthorizationCodeGrant, S256Required
from auth_service.commands.oauth.id_tokens import IdTokenByCode
from auth_service.commands.oauth.requests import OAuthAnswer, OAuthCall, ProviderRequest
from auth_service.commands.oauth.server import Provider, ProviderServer
from auth_service.domain.tokens import Subject
from service_kit.database import Session

PARAMETER_LENGTH_MAX = 2000


@dataclass(frozen=True)
class Authorized:
    """Send the browser back to the client, with a code or with an error."""

    location: str


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


Outcome = Authorized | SignInNeeded | Refused


class LoginRequiredError(OAuth2Error):
    """The client asked not to show a page, and it cannot be done without one (Core, 3.1.2.6)."""

    error = "login_required"
    description = "The person has to sign in."


async def authorize(session: Session, provider: Provider, call: OAuthCall, person: Subject | None) -> Outcome:
    """Answer an authorization request of `person`, who is absent when nobody is signed in."""

    def run(sync_session: SyncSession) -> Outcome:
        return _Authorization(ProviderServer(sync_session, provider, call), call, person).outcome()

    return await session.run_sync(run)


class _Authorization:
    """One request on its way through the checks, in the order that keeps wrong addresses from being used."""

    def __init__(self, server: ProviderServer, call: OAuthCall, person: Subject | None) -> None:
        self._server = server
        self._call = call
        self._person = person
        server.register_grant(AuthorizationCodeGrant, [S256Required(), IdTokenByCode(server.provider)])

    def outcome(self) -> Outcome:
        refusal = self._refuse_address()
        if refusal is not None:
            return Refused(refusal)
        try:
            self._refuse_unclear()
            needed = self._sign_in_needed()
            if needed is not None:
                # The request is checked before a person types a password for it.
                self._server.get_consent_grant(self._call, end_user=self._person)
                return needed
            return Authorized(self._with_issuer(self._code_location()))
        except OAuth2Error as error:
            return Authorized(self._error_location(error))
        except ValueError:
            # Authlib refuses to repeat unusual characters in its error texts.
            return Authorized(
                self._error_location(InvalidRequestError("A parameter has forbidden characters."))
            )

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
        if self._call.one("response_mode") not in {None, "query"}:
            raise InvalidRequestError("This response_mode is not supported.")
        if self._call.one("request") or self._call.one("request_uri"):
            raise _RequestObjectError
        if (age := self._call.one("max_age")) is not None and not (age.isascii() and age.isdigit()):
            raise InvalidRequestError("Invalid max_age.")
        prompts = (self._call.one("prompt") or "").split()
        if "none" in prompts and len(prompts) > 1:
            raise InvalidRequestError("Invalid prompt.")

    def _sign_in_needed(self) -> SignInNeeded | None:
        prompts = (self._call.one("prompt") or "").split()
        too_old = self._person is not None and self._is_too_old(self._person)
        if self._person is not None and not too_old and not {"login", "select_account"} & set(prompts):
            return None
        if "none" in prompts:
            raise LoginRequiredError
        return SignInNeeded(login_hint=self._call.one("login_hint"), again=self._person is not None)

    def _is_too_old(self, person: Subject) -> bool:
        age = self._call.one("max_age")
        if age is None:
            return False
        return datetime.now(UTC).timestamp() - person.authenticated_at > int(age[:10])

    def _code_location(self) -> str:
        grant = self._server.get_consent_grant(self._call, end_user=self._person)
        request: ProviderRequest = grant.request
        answer: OAuthAnswer = self._server.create_authorization_response(
            request, grant_user=self._person, grant=grant
        )
        location = dict(answer.headers).get("Location")
        if location is None:
            raise InvalidRequestError("The request cannot be answered.")
        return location

    def _error_location(self, error: OAuth2Error) -> str:
        parameters = {"error": str(error.error)}
        if description := error.get_error_description():
            # Only printable ASCII without quotes may stand there (RFC 6749, 4.1.2.1).
            parameters["error_description"] = "".join(
                letter for letter in description if " " <= letter <= "~" and letter not in '"\\'
            )
        if state := self._call.one("state"):
            parameters["state"] = state
        return self._with_issuer(_with_parameters(self._call.one("redirect_uri") or "", parameters))

    def _with_issuer(self, location: str) -> str:
        """RFC 9207: the client sees who answered, so that answers of two providers cannot be mixed up."""
        return _with_parameters(location, {"iss": self._server.settings.issuer})


class _RequestObjectError(OAuth2Error):
    error = "request_not_supported"
    description = "Request objects are not supported."


def _with_parameters(address: str, parameters: Mapping[str, str]) -> str:
    separator = "&" if urlsplit(address).query else "?"
    return f"{address}{separator}{urlencode(parameters)}"
