"""The code in a letter: it follows from the question and our key, so that it is stored nowhere."""

import hmac
import re
from datetime import timedelta
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LIFE = timedelta(minutes=10)
TRIES_MAX = 5
DIGITS = 8
METHOD = "email"


def mail_code(secret_key: str, code_id: UUID) -> str:
    """Eight digits; five tries at them are one chance in twenty million."""
    key = HKDF(SHA256(), length=32, salt=None, info=b"auth_service mail codes").derive(secret_key.encode())
    drawn = int.from_bytes(hmac.digest(key, code_id.bytes, "sha256")[:8], "big")
    return f"{drawn % 10**DIGITS:0{DIGITS}}"


def is_mail_code(secret_key: str, code_id: UUID, typed: str) -> bool:
    plain = re.sub(r"[\s-]", "", typed)
    return plain.isascii() and hmac.compare_digest(mail_code(secret_key, code_id), plain)
