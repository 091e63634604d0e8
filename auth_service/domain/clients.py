"""What an administrator may say about an application that signs people in here."""

import re
from dataclasses import dataclass
from typing import Literal

from auth_service.domain.keys import ID_TOKENS
from service_kit.errors import Conflict, Forbidden, Invalid, NotFound
from service_kit.text import message as _

Origin = Literal["settings", "admin", "registration"]

CLIENT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
NAME_LENGTH_MAX = 120
ADDRESSES_MAX = 20
ADDRESS_LENGTH_MAX = 500

GRANTS = {
    "authorization_code": _("Signs people in"),
    "refresh_token": _("Stays signed in"),
    "client_credentials": _("Acts in its own name"),
    "urn:ietf:params:oauth:grant-type:device_code": _("Has no keyboard (shows a code)"),
}
"""The grants there are, in words for people."""

SCOPES = {
    "openid": _("Who somebody is"),
    "profile": _("Name, login, language, role"),
    "email": _("E-mail address"),
    "phone": _("Telephone number"),
    "address": _("Postal address"),
    "offline_access": _("Acts for you when you are signed out"),
}
"""What an application may learn, in words for people."""


class ClientNotFound(NotFound):
    code = "client_not_found"


class ClientTaken(Conflict):
    code = "client_taken"


class MalformedClient(Invalid):
    code = "malformed_client"


class KeptInSettings(Forbidden):
    """Clients of the setting AUTH_CLIENTS are written anew at every start: a page could not change them."""

    code = "kept_in_settings"


@dataclass(frozen=True)
class ClientForm:
    """An application as an administrator describes it."""

    name: str
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    scopes: tuple[str, ...] = ("openid", "profile")
    third_party: bool = False
    audiences: tuple[str, ...] | None = None
    """Services it may call; absent: all for a part of the exchange, none for others."""

    without_pkce: bool = False
    """Its library cannot do PKCE; it keeps a secret and sends a nonce instead."""

    id_token_alg: str = ID_TOKENS
    """By which algorithm its ID and logout tokens are signed."""


def clean_client_id(value: str) -> str:
    client_id = value.strip()
    if not CLIENT_ID.fullmatch(client_id):
        raise MalformedClient(
            _("An id has 1 to 64 letters a-z, digits and dashes, with a letter or digit at both ends.")
        )
    return client_id


def clean_client_name(value: str) -> str:
    name = " ".join(value.split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise MalformedClient(_("A name has 1 to 120 characters."))
    return name


def lines_of(text: str) -> tuple[str, ...]:
    """Addresses as people type them, one on each line."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
