"""How long somebody waits after wrong guesses, and under which key they are counted."""

import hashlib
from datetime import timedelta
from uuid import UUID

FIRST_WAIT_S = 15
LONGEST_WAIT_S = 15 * 60
DOUBLINGS_MAX = 10
FORGOTTEN_AFTER = timedelta(hours=1)
"""Failures older than this no longer count."""


def wait_after(failures: int, *, free: int) -> timedelta:
    """After `free` failures each further one doubles the wait, up to the longest."""
    if failures < free:
        return timedelta()
    doublings = min(failures - free, DOUBLINGS_MAX)
    return timedelta(seconds=min(FIRST_WAIT_S * 2**doublings, LONGEST_WAIT_S))


WAITS = [wait_after(failures, free=1) for failures in range(DOUBLINGS_MAX + 2)]
"""None while tries are free, then that of each failure more that waits longer."""


def account_key(login: str) -> bytes:
    return _key("account", login)


def address_key(address: str) -> bytes:
    return _key("address", address)


def second_factor_key(account_id: UUID) -> bytes:
    """Codes of an app and recovery codes together: six digits are guessed faster than passwords."""
    return _key("second factor", str(account_id))


def device_key(account_id: UUID) -> bytes:
    """Codes of devices that somebody tries out."""
    return _key("device", str(account_id))


def letter_key(name: str) -> bytes:
    """Letters that strangers have sent to one account: its letter box is not theirs to fill."""
    return _key("letter", name)


def stranger_key(address: str) -> bytes:
    """Forms that one network address fills in without being anybody yet."""
    return _key("stranger", address)


def caller_key(address: str) -> bytes:
    """Programs and gateways that show tokens and cookies which do not hold."""
    return _key("caller", address)


def _key(kind: str, name: str) -> bytes:
    """A digest: counters hold no names and no addresses."""
    return hashlib.sha256(f"{kind}:{name}".encode()).digest()
