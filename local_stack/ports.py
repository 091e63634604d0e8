"""Ports of one exchange: which are taken, and free ones that stay free."""

import random
import socket
from contextlib import closing

LOOPBACK = "127.0.0.1"

# Below the range from which systems take the source ports of outgoing connections (32768 on Linux, 49152
# elsewhere): otherwise a restarted process could find its port taken by somebody's connection.
_FIRST, _LAST = 20000, 32000


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers do: a port whose old connections are still being wound up counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with closing(socket.create_connection((host, port), timeout=1)):
            return True
    except OSError:
        return False


class PortChooser:
    """Draws free ports and gives none out twice."""

    def __init__(self, taken: set[int] | None = None) -> None:
        self._taken = set(taken or ())

    def draw(self) -> int:
        draws = random.SystemRandom()
        for _ in range(1000):
            port = draws.randrange(_FIRST, _LAST)
            if port not in self._taken and is_free(port):
                self._taken.add(port)
                return port
        raise OSError(f"no free port between {_FIRST} and {_LAST}")
