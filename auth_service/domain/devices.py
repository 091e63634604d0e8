"""The code that a person reads off a device."""

import hmac
import re
import secrets

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
USER_CODE = re.compile(rf"[{LETTERS}]{{8}}")
"""Eight of twenty consonants (34 bits): no words, nothing that looks alike (RFC 8628, 6.1)."""


def new_user_code() -> str:
    return as_shown("".join(secrets.choice(LETTERS) for _ in range(8)))


def as_shown(typed: str) -> str:
    """A code as devices show it, however it was typed."""
    plain = _plain(typed)
    return f"{plain[:4]}-{plain[4:]}"


def user_code_digest(typed: str) -> bytes | None:
    """What is stored of the code, however it is spelled; None for what cannot be one."""
    plain = _plain(typed)
    if not USER_CODE.fullmatch(plain):
        return None
    return hmac.digest(b"ates user code", plain.encode(), "sha256")


def _plain(typed: str) -> str:
    return re.sub(r"[^A-Z]", "", typed.upper())
