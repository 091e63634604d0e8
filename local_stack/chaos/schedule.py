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
    """A worker is killed and its relay's cursor set back: events are delivered once more."""
    MIDNIGHT = "midnight"
    """The business clock jumps past the end of the day; two workers want to close it."""


@dataclass(frozen=True)
class Fault:
    at_s: float
    kind: Kind
    target: str = ""
    seconds: float = 0
    """How long a pause lasts."""

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
}
_BETWEEN_S = (2.0, 6.0)
_MIDNIGHT_EVERY_S = 20.0
_QUIET_AT_FIRST_S = 3.0


def drawn(seed: int, seconds: float, processes: Sequence[str], services: Sequence[str]) -> list[Fault]:
    """Faults in order of time. Every kind strikes once before any strikes again by chance."""
    dice = Random(seed)  # noqa: S311  a run has to be repeatable
    kinds = list(_WEIGHTS)
    dice.shuffle(kinds)
    faults = []
    at_s = _QUIET_AT_FIRST_S
    while at_s < seconds:
        kind = kinds.pop() if kinds else dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        faults.append(_aimed(dice, at_s, kind, processes, services))
        at_s += dice.uniform(*_BETWEEN_S)
    at_s = _MIDNIGHT_EVERY_S / 2
    while at_s < seconds:
        faults.append(Fault(at_s, Kind.MIDNIGHT))
        at_s += _MIDNIGHT_EVERY_S * dice.uniform(0.7, 1.3)
    return sorted(faults, key=lambda fault: fault.at_s)


def _aimed(dice: Random, at_s: float, kind: Kind, processes: Sequence[str], services: Sequence[str]) -> Fault:
    match kind:
        case Kind.KILL:
            return Fault(at_s, kind, dice.choice([*processes, SECOND_CLOSER]))
        case Kind.PAUSE:
            target = dice.choice([*processes, SECOND_CLOSER, "kafka"])
            return Fault(at_s, kind, target, round(dice.uniform(1, 8), 1))
        case Kind.CUT:
            return Fault(at_s, kind, dice.choice(services))
        case Kind.REPEAT:
            return Fault(at_s, kind, dice.choice(["tracker", "billing", "auth"]))
        case Kind.BROKER | Kind.WIPE:
            return Fault(at_s, kind, "kafka")
        case _:
            return Fault(at_s, kind, "postgres")
