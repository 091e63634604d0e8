"""Signing keys: how they are made, sealed for storage, and which one of several is used when."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import ECKey, Key, KeyParameters, KeySet, KeySetSerialization, RSAKey

Algorithm = Literal["ES256", "RS256"]
ACCESS_TOKENS: Algorithm = "ES256"
"""Six times cheaper to sign than RSA and a third smaller."""

ID_TOKENS: Algorithm = "RS256"
"""The one algorithm that every OpenID Connect client must understand."""

ALGORITHMS: tuple[Algorithm, ...] = (ACCESS_TOKENS, ID_TOKENS)

KEY_CACHE_S = 300
"""How long others may keep our public keys; a new key is published at least that long before it signs."""

SECRET_LENGTH_MIN = 32

KEPT_AFTER_USE = timedelta(days=1)
"""An old key stays published far longer than any token that it signed lives."""


def generate_key(algorithm: Algorithm) -> Key:
    parameters: KeyParameters = {"use": "sig", "alg": algorithm}
    key: Key
    if algorithm == "ES256":
        key = ECKey.generate_key("P-256", parameters=parameters)
    else:
        key = RSAKey.generate_key(2048, parameters=parameters)
    key.ensure_kid()
    return key


@dataclass(frozen=True)
class StoredKey:
    """A signing key as the key ring holds it."""

    key: Key
    algorithm: Algorithm
    signs_from: datetime | None
    """Absent while the key is published and waits for its turn."""


class KeyRing:
    """All published keys of one moment; knows which of them signs."""

    def __init__(self, keys: Iterable[StoredKey]) -> None:
        self._keys = tuple(keys)
        self.public = KeySet([stored.key for stored in self._keys])

    def signing(self, algorithm: Algorithm, now: datetime) -> KeySet:
        """A set of exactly the active key: given several, the JOSE library would sign with any of them."""
        begun = [
            (stored.signs_from, stored.key)
            for stored in self._keys
            if stored.algorithm == algorithm and stored.signs_from is not None and stored.signs_from <= now
        ]
        if not begun:
            raise LookupError(f"no key signs {algorithm}")
        return KeySet([max(begun, key=lambda pair: pair[0])[1]])

    def published(self) -> KeySetSerialization:
        """The JWKS document: public parts only."""
        return self.public.as_dict(private=False)


class UnreadableKeyError(Exception):
    """A stored private key was not sealed with the `secret_key` we have."""


def seal(secret_key: str, kid: str, plain: bytes) -> bytes:
    """Encrypt a private key for storage, bound to its id."""
    nonce = os.urandom(12)
    return nonce + AESGCM(_sealing_key(secret_key)).encrypt(nonce, plain, kid.encode())


def unseal(secret_key: str, kid: str, sealed: bytes) -> bytes:
    try:
        return AESGCM(_sealing_key(secret_key)).decrypt(sealed[:12], sealed[12:], kid.encode())
    except InvalidTag as error:
        raise UnreadableKeyError(
            f"signing key {kid} cannot be read with the present secret_key; give back the former one"
        ) from error


def _sealing_key(secret_key: str) -> bytes:
    if len(secret_key) < SECRET_LENGTH_MIN:
        raise ValueError("the setting secret_key needs 32 or more random characters")
    return HKDF(SHA256(), length=32, salt=None, info=b"auth_service signing keys").derive(secret_key.encode())
