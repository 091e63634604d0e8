"""What every engine comes down to: a command line to run, and how to stop it in good order."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict


class Account(TypedDict, total=False):
    """Whom to run as, in the words of `subprocess.Popen`; empty: as the starter."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Program:
    """One program as the supervisor or a test starts it."""

    command: Sequence[str]
    module: str | None = None
    """The Python module that the command runs by `-m`; such a program may be forked (see `launching`)."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of the starter."""

    account: Account = field(default_factory=Account)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 20
    """After this long it is killed."""
