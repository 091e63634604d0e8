"""Passkeys (Web Authentication, level 3): a key in the person's device, opened by finger, face or PIN.

The device checks the person (user verification is required), so a passkey is two factors in one.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from service_kit.errors import Conflict, Invalid, NotFound
from service_kit.text import message as _

EXCHANGE = "aTES"
METHODS = ("pop", "user")
"""Possession of a key, and the device has checked the person (RFC 8176)."""

PASSKEYS_MAX = 20
NAME_LENGTH_MAX = 60
CREDENTIAL_ID_LENGTH_MAX = 1023
NOT_TAKEN = _("This passkey does not fit. Please try again.")


class WrongPasskey(Invalid):
    code = "wrong_passkey"


class TooManyPasskeys(Conflict):
    code = "too_many_passkeys"


class PasskeyNotFound(NotFound):
    code = "passkey_not_found"


@dataclass(frozen=True)
class Place:
    """The site that passkeys are bound to: a key for one is useless at any other."""

    host: str
    origin: str

    @classmethod
    def of(cls, public_url: str) -> "Place":
        parts = urlsplit(public_url)
        return cls(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")


@dataclass(frozen=True)
class NewPasskey:
    credential_id: bytes
    public_key: bytes
    sign_count: int


@dataclass(frozen=True)
class Asked:
    """What the browser is asked, and the challenge its answer has to hold."""

    options: dict[str, Any]
    challenge: bytes


def ask_for_new(place: Place, *, login: str, name: str, account_id: UUID, known: Sequence[bytes]) -> Asked:
    options = webauthn.generate_registration_options(
        rp_id=place.host,
        rp_name=EXCHANGE,
        user_name=login,
        user_display_name=name,
        user_id=account_id.bytes,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one) for one in known],
    )
    return Asked(json.loads(webauthn.options_to_json(options)), options.challenge)


def ask_for_sign_in(place: Place) -> Asked:
    """Names no account: the device knows which of its keys belong here."""
    options = webauthn.generate_authentication_options(
        rp_id=place.host, user_verification=UserVerificationRequirement.REQUIRED
    )
    return Asked(json.loads(webauthn.options_to_json(options)), options.challenge)


def check_new(place: Place, credential: dict[str, Any], challenge: bytes) -> NewPasskey:
    """Raises `WrongPasskey`."""
    try:
        made = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise WrongPasskey(NOT_TAKEN) from error
    if len(made.credential_id) > CREDENTIAL_ID_LENGTH_MAX:
        raise WrongPasskey(NOT_TAKEN)
    return NewPasskey(made.credential_id, made.credential_public_key, made.sign_count)


def credential_id_of(credential: dict[str, Any]) -> bytes | None:
    """Which key the browser used; None for what names none."""
    text = credential.get("rawId")
    if not isinstance(text, str) or len(text) > 2 * CREDENTIAL_ID_LENGTH_MAX or not text.isascii():
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None


def check_sign_in(
    place: Place,
    credential: dict[str, Any],
    challenge: bytes,
    *,
    public_key: bytes,
    sign_count: int,
    account_id: UUID,
) -> int:
    """Answers the key's new counter. Raises `WrongPasskey`."""
    try:
        shown = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=place.host,
            expected_origin=place.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )
        handle = credential["response"].get("userHandle")
        owner = base64.urlsafe_b64decode(handle + "=" * (-len(handle) % 4))
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise WrongPasskey(NOT_TAKEN) from error
    if owner != account_id.bytes:
        raise WrongPasskey(NOT_TAKEN)
    return shown.new_sign_count


def clean_passkey_name(value: str) -> str:
    return "".join(letter for letter in " ".join(value.split()) if letter.isprintable())[:NAME_LENGTH_MAX]
