"""What an administrator may say about an application that signs people in here."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from auth_service.domain.keys import ALGORITHMS, ID_TOKENS
from service_kit.errors import Conflict, Forbidden, Invalid, NotFound
from service_kit.text import message as _

Origin = Literal["settings", "admin", "registration"]

CLIENT_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
NAME_LENGTH_MAX = 120
ADDRESSES_MAX = 20
ADDRESS_LENGTH_MAX = 500
KEYS_MAX = 10
KEY_LENGTH_MAX = 8000
KEY_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")
RSA_BITS = range(2048, 4097)
MODULUS_LENGTH_MIN = 342
"""Of 2048 bits, in the letters of base64."""

KEYS_TAKEN = "keys are P-256, or RSA of 2048 to 4096 bits"

GRANTS = {
    "authorization_code": _("Signs people in"),
    "refresh_token": _("Stays signed in"),
    "client_credentials": _("Acts in its own name"),
    "urn:ietf:params:oauth:grant-type:device_code": _("Has no keyboard (shows a code)"),
}
"""The grants there are, in words for people."""

SCOPES = {
    "openid": _("Who is signed in"),
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


@dataclass(frozen=True)
class Proof:
    """How a client that registers itself proves itself at the token endpoint."""

    method: str
    """`client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`."""

    jwks: dict[str, Any] | None = None
    """Its public keys, for private_key_jwt."""

    @property
    def has_secret(self) -> bool:
        return self.method.startswith("client_secret")


def public_keys(jwks: dict[str, Any]) -> dict[str, Any]:
    """A client's key set, checked: P-256 for ES256, RSA of 2048 to 4096 bits for RS256, public parts alone.

    Raises `ValueError` for anything else: what is said about a key would repeat a part of it.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= KEYS_MAX:
        raise ValueError("a key set has 1 to 10 keys")
    return {"keys": [_public_key(key) for key in keys]}


def _public_key(jwk: object) -> dict[str, str]:
    if not isinstance(jwk, dict) or len(repr(jwk)) > KEY_LENGTH_MAX:
        raise ValueError("this is no key")
    if jwk.get("kty") == "RSA" and len(str(jwk.get("n"))) < MODULUS_LENGTH_MIN:
        # The library only warns of what is this short.
        raise ValueError(KEYS_TAKEN)
    try:
        key = ECKey.import_key(jwk) if jwk.get("kty") == "EC" else RSAKey.import_key(jwk)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ValueError("this is no key") from error
    if key.is_private:
        raise ValueError("a private key is nobody else's to know")
    fits = (
        isinstance(key.public_key.curve, SECP256R1)
        if isinstance(key, ECKey)
        else key.public_key.key_size in RSA_BITS
    )
    kept = {name: jwk[name] for name in KEY_MEMBERS if name in jwk}
    if not fits or not all(isinstance(value, str) and value.isprintable() for value in kept.values()):
        raise ValueError(KEYS_TAKEN)
    return kept


def clean_client_id(value: str) -> str:
    client_id = value.strip()
    if not CLIENT_ID.fullmatch(client_id):
        raise MalformedClient.of(
            "client_id",
            _("An id has 1 to 64 letters a-z, digits and dashes, with a letter or digit at both ends."),
        )
    return client_id


def clean_client_name(value: str) -> str:
    name = " ".join(value.split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise MalformedClient.of("name", _("A name has 1 to 120 characters."))
    return name


def clean_grants(chosen: tuple[str, ...], *, confidential: bool) -> list[str]:
    if unknown := set(chosen) - set(GRANTS):
        raise MalformedClient.of(
            "grant_types",
            _("{what} is nothing that an application can do here.", what=", ".join(sorted(unknown))),
        )
    if not chosen:
        raise MalformedClient.of("grant_types", _("Choose at least one thing that the application does."))
    if not confidential and "client_credentials" in chosen:
        raise MalformedClient.of(
            "grant_types", _("Without a secret an application cannot act in its own name.")
        )
    return [grant for grant in GRANTS if grant in chosen]


def clean_scopes(chosen: tuple[str, ...]) -> list[str]:
    if set(chosen) - set(SCOPES):
        raise MalformedClient.of("scopes", _("There is no such scope."))
    return [scope for scope in SCOPES if scope in chosen]


def clean_without_pkce(wanted: bool, *, confidential: bool) -> bool:  # noqa: FBT001  a field's value
    if wanted and not confidential:
        # Whoever catches the code of such a client could redeem it.
        raise MalformedClient.of(
            "without_pkce", _("Only an application that keeps a secret may do without PKCE.")
        )
    return wanted


def clean_algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise MalformedClient.of("id_token_alg", _("There is no such algorithm."))
    return name


def lines_of(text: str) -> tuple[str, ...]:
    """Addresses as people type them, one on each line."""
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
