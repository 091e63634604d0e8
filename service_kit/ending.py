"""How a process that holds several services tells each of them to end."""

from collections.abc import Callable

_told: list[Callable[[], None]] = []


def when_told_to_end(call: Callable[[], None]) -> None:
    """Have it called, from the main thread, when the process is told to end."""
    _told.append(call)


def tell_all_to_end() -> None:
    for call in _told:
        call()
