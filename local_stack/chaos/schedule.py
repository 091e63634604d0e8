"""Which fault strikes whom and when: drawn from a seed, so that a run can be played again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    KILL = "kill"
    """SIGKILL of a service's process or the gateway."""
    PAUSE = "pause"
    """SIGSTOP for some seconds: a process that neither works nor ends."""
    CUT = "cut"
    """All connections of one service to its database are ended by the server."""
    BROKER = "broker killed"
    WIPE = "broker wiped"
    """Killed, its data deleted: another cluster comes up, and it is empty."""
    DATABASE = "database killed"
    REPEAT = "repeat"
    """A relay loses its slots while it sends, and its cursor is set back: events are delivered once more."""
    RESET = "line reset"
    """Both ends of all connections between two parts are told that these are broken."""
    STILL = "line still"
    """Nothing is carried between two parts for some seconds, then all of it."""
    SLOW = "line slow"
    """All that two parts say to each other arrives late, for some seconds."""
    HALF_OPEN = "line half open"
    """What two parts say on their connections vanishes. Some seconds later they give them up."""
    MIDNIGHT = "midnight"
    """The business clock jumps past the end of the day; two workers want to close it."""


@dataclass(frozen=True)
class Fault:
    at_s: float
    kind: Kind
    target: str = ""
    seconds: float = 0
    """How long a pause lasts, or trouble with a line."""

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at_s:7.1f} s  {self.kind} {self.target}{lasting}"


SECOND_CLOSER = "billing-worker-2"
_WEIGHTS = {
    Kind.KILL: 8,
    Kind.PAUSE: 4,
    Kind.CUT: 4,
    Kind.BROKER: 2,
    Kind.WIPE: 1,
    Kind.DATABASE: 2,
    Kind.REPEAT: 2,
    Kind.RESET: 4,
    Kind.STILL: 3,
    Kind.SLOW: 3,
    Kind.HALF_OPEN: 3,
}
_LONGEST_S = {Kind.PAUSE: 8, Kind.STILL: 12, Kind.SLOW: 12, Kind.HALF_OPEN: 12}
_BETWEEN_S = (2.0, 6.0)
_MIDNIGHT_EVERY_S = 20.0
_QUIET_AT_FIRST_S = 3.0


@dataclass(frozen=True)
class Parts:
    """What there is to strike, by name."""

    processes: Sequence[str]
    services: Sequence[str]
    lines: Sequence[str]


def drawn(seed: int, seconds: float, parts: Parts) -> list[Fault]:
    """Faults in order of time. Every kind strikes once before any strikes again by chance."""
    dice = Random(seed)  # noqa: S311  a run has to be repeatable
    kinds = list(_WEIGHTS)
    dice.shuffle(kinds)
    faults = []
    at_s = _QUIET_AT_FIRST_S
    while at_s < seconds:
        kind = kinds.pop() if kinds else dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        faults.append(_aimed(dice, at_s, kind, parts))
        at_s += dice.uniform(*_BETWEEN_S)
    at_s = _MIDNIGHT_EVERY_S / 2
    while at_s < seconds:
        faults.append(Fault(at_s, Kind.MIDNIGHT))
        at_s += _MIDNIGHT_EVERY_S * dice.uniform(0.7, 1.3)
    return sorted(faults, key=lambda fault: fault.at_s)


def _aimed(dice: Random, at_s: float, kind: Kind, parts: Parts) -> Fault:
    match kind:
        case Kind.KILL:
            among = [*parts.processes, SECOND_CLOSER]
        case Kind.PAUSE:
            among = [*parts.processes, SECOND_CLOSER, "kafka"]
        case Kind.CUT:
            among = [*parts.services]
        case Kind.REPEAT:
            among = ["tracker", "billing", "auth"]
        case Kind.RESET | Kind.STILL | Kind.SLOW | Kind.HALF_OPEN:
            among = [*parts.lines]
        case Kind.BROKER | Kind.WIPE:
            among = ["kafka"]
        case _:
            among = ["postgres"]
    target = dice.choice(among)
    lasts_s = round(dice.uniform(1, _LONGEST_S[kind]), 1) if kind in _LONGEST_S else 0
    return Fault(at_s, kind, target, lasts_s)
