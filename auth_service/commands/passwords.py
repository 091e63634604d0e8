"""Passwords: argon2id in a bounded pool of threads; sign-ins never take the event loop or all memory.

libsodium computes it, with the widest vectors the processor has: the same hashes in about half the time of
the reference implementation (docs/decisions/0029-libsodium-checks-passwords.md).
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from nacl.exceptions import InvalidkeyError
from nacl.exceptions import ValueError as MalformedHash
from nacl.pwhash import argon2id

from service_kit.errors import Unavailable
from service_kit.text import message as _

P = ParamSpec("P")
T = TypeVar("T")

# OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB = 19456
PASSES = 2
MADE_NOW = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$"
"""How a hash of these parameters begins, in the form that all implementations share (PHC string)."""

WAITING_MAX = 200
"""A longer queue would make people wait for seconds; further ones are turned away."""


class TooBusy(Unavailable):
    code = "sign_in_busy"


@dataclass(frozen=True)
class Verdict:
    right: bool
    rehash: bool
    """The stored hash was made with older parameters and should be replaced."""


class Passwords:
    """Checks and makes hashes; one per process."""

    def __init__(self, workers: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(
            max_workers=workers or os.cpu_count() or 1, thread_name_prefix="argon2"
        )
        self._waiting = 0
        # Checked where there is nothing to check, so that unknown accounts take as long as known ones.
        self._decoy = hashed(os.urandom(16).hex())

    async def check(self, stored: str | None, password: str) -> Verdict:
        """Compare; an absent hash takes as long and is never right."""
        return await self._run(self._check, stored, password)

    async def make(self, password: str) -> str:
        return await self._run(hashed, password)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check(self, stored: str | None, password: str) -> Verdict:
        try:
            argon2id.verify((stored or self._decoy).encode(), password.encode())
        except (InvalidkeyError, MalformedHash):
            return Verdict(right=False, rehash=False)
        if stored is None:
            return Verdict(right=False, rehash=False)
        return Verdict(right=True, rehash=not stored.startswith(MADE_NOW))

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._waiting >= WAITING_MAX:
            raise TooBusy(_("Too many people sign in right now. Please try again in a moment."))
        self._waiting += 1
        try:
            call = partial(work, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._waiting -= 1


def hashed(password: str) -> str:
    """A new salted hash as a PHC string."""
    made = argon2id.str(password.encode(), opslimit=PASSES, memlimit=MEMORY_KIB * 1024)
    return made.rstrip(b"\0").decode()
