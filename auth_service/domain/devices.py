"""The code that a person reads off a device."""

import hmac
import re

USER_CODE = re.compile(r"[BCDFGHJKLMNPQRSTVWXZ]{8}")
"""Eight of twenty consonants (34 bits): no words, nothing that looks alike (RFC 8628, 6.1)."""


def user_code_digest(typed: str) -> bytes | None:
    """What is stored of the code, however it is spelled; None for what cannot be one."""
    plain = re.sub(r"[^A-Z]", "", typed.upper())
    if not USER_CODE.fullmatch(plain):
        return None
    return hmac.digest(b"ates user code", plain.encode(), "sha256")
