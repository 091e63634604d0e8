"""The calls a web app makes to the issuer's token and revocation endpoints."""

from dataclasses import dataclass
from typing import Any

import httpx2
import structlog

from service_kit.errors import Unavailable
from service_kit.text import message as _

log = structlog.get_logger(__name__)

TIMEOUT_S = 5


class GrantRefused(Exception):
    """The issuer says `invalid_grant`: what was presented is used up, ended or never was."""


class ProviderUnavailable(Unavailable):
    """The issuer does not answer, or not in a way that makes sense."""

    code = "sign_in_unavailable"

    def __init__(self) -> None:
        super().__init__(_("Signing in is not possible at the moment. Please try again shortly."))


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint hands out."""

    access_token: str
    id_token: str | None
    refresh_token: str | None
    refresh_expires_in_s: int | None


class Provider:
    """The issuer, seen by one confidential client."""

    def __init__(self, http: httpx2.AsyncClient, *, url: str, client_id: str, client_secret: str) -> None:
        self._http = http
        self._url = url
        self._credentials = httpx2.BasicAuth(client_id, client_secret)

    async def redeem(self, code: str, *, redirect_uri: str, verifier: str) -> Tokens:
        return await self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": verifier,
            }
        )

    async def refresh(self, refresh_token: str) -> Tokens:
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, refresh_token: str) -> None:
        """End the token's family. A provider that is away must not keep anybody from signing out."""
        try:
            await self._post("/revoke", {"token": refresh_token, "token_type_hint": "refresh_token"})
        except httpx2.HTTPError as error:
            log.warning("token_not_revoked", error=type(error).__name__)

    async def _post(self, path: str, form: dict[str, str]) -> httpx2.Response:
        return await self._http.post(self._url + path, data=form, auth=self._credentials, timeout=TIMEOUT_S)

    async def _tokens(self, form: dict[str, str]) -> Tokens:
        try:
            answer = await self._post("/token", form)
            body: dict[str, Any] = answer.json()
            if answer.status_code == httpx2.codes.BAD_REQUEST and body.get("error") == "invalid_grant":
                raise GrantRefused
            answer.raise_for_status()
            return Tokens(
                access_token=body["access_token"],
                id_token=body.get("id_token"),
                refresh_token=body.get("refresh_token"),
                refresh_expires_in_s=body.get("refresh_expires_in"),
            )
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("provider_unavailable", grant=form["grant_type"], error=type(error).__name__)
            raise ProviderUnavailable from error
