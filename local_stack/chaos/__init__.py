"""`chaos`: an exchange of its own under load, faults drawn from a seed, every promise checked after."""

from local_stack.chaos.running import Outcome, play, report

__all__ = ["Outcome", "play", "report"]
