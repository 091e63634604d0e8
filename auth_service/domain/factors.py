"""Second factors: codes of an authenticator app (RFC 6238), and recovery codes for a lost one."""

import base64
import hmac
import re
import secrets
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from service_kit.errors import Forbidden, Invalid

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""160 bits, the length of the hash (RFC 4226, 4)."""

STEPS_AROUND = (0, -1, 1)
"""A clock may be one step off, either way."""

RECOVERY_CODES = 10
RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without what looks alike on paper."""

RECOVERY_LENGTH = 12
CODE_LENGTH_MAX = 40
_TOTP_CODE = re.compile(r"[0-9]{6}")


class WrongCode(Invalid):
    code = "wrong_code"


class RecentSignInNeeded(Forbidden):
    """Factors are changed only by somebody who has just signed in, not by whoever finds an open browser."""

    code = "recent_sign_in_needed"


def new_totp_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def totp_step(secret: bytes, code: str, now: float, last_step: int) -> int | None:
    """The time step for which this code is right and not used yet; None when there is none."""
    if not _TOTP_CODE.fullmatch(code):
        return None
    # SHA-1 is what every authenticator app speaks; its weakness does not touch HMAC.
    totp = TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303  see above
    present = int(now) // STEP_S
    found = None
    for around in STEPS_AROUND:
        step = present + around
        right = hmac.compare_digest(totp.generate(step * STEP_S), code.encode())
        if right and step > last_step and found is None:
            found = step
    return found


def totp_address(secret: bytes, login: str, issuer: str) -> str:
    """What the app reads from the picture."""
    label = quote(f"{issuer}:{login}")
    parameters = urlencode(
        {"secret": typed_secret(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_S}
    )
    return f"otpauth://totp/{label}?{parameters}"


def typed_secret(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")


def new_recovery_codes() -> list[str]:
    return [
        "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(RECOVERY_LENGTH))
        for _ in range(RECOVERY_CODES)
    ]


def recovery_digest(code: str) -> bytes | None:
    """What is stored of a recovery code (59 bits of chance); None for what cannot be one."""
    plain = re.sub(r"[\s-]", "", code.lower())
    if len(plain) != RECOVERY_LENGTH or not set(plain) <= set(RECOVERY_ALPHABET):
        return None
    return hmac.digest(b"ates recovery code", plain.encode(), "sha256")


def clean_code(code: str) -> str:
    return re.sub(r"[\s-]", "", code)[:CODE_LENGTH_MAX]
