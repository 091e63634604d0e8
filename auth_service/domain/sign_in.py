"""How long somebody waits after wrong guesses."""

from dataclasses import dataclass
from datetime import timedelta

FIRST_WAIT_S = 15
LONGEST_WAIT_S = 15 * 60
FORGOTTEN_AFTER = timedelta(hours=1)
"""Failures older than this no longer count."""


@dataclass(frozen=True)
class WaitRule:
    """After `free` failures each further one doubles the wait, up to the longest."""

    free: int

    def wait_after(self, failures: int) -> timedelta:
        if failures < self.free:
            return timedelta()
        doublings = min(failures - self.free, 10)
        return timedelta(seconds=min(FIRST_WAIT_S * 2**doublings, LONGEST_WAIT_S))
