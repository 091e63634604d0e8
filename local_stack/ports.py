"""Ports of one exchange: which are taken, and free ones that stay free."""

import fcntl
import json
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"

# Below the range from which systems take the source ports of outgoing connections (32768 on Linux, 49152
# elsewhere): otherwise a restarted process could find its port taken by somebody's connection.
_FIRST, _LAST = 20000, 32000

# How long a drawn port belongs to whoever drew it: until every engine that is being started listens.
_CLAIMED_S = 600


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
    """Draws free ports: none twice, nor one that another process drew and does not listen on yet."""

    def __init__(self, taken: set[int] | None = None) -> None:
        self._taken = set(taken or ())

    def draw(self) -> int:
        draws = random.SystemRandom()
        with _claims() as claims:
            for _ in range(1000):
                port = draws.randrange(_FIRST, _LAST)
                if port not in self._taken and str(port) not in claims and is_free(port):
                    self._taken.add(port)
                    claims[str(port)] = time.time()
                    return port
        raise OSError(f"no free port between {_FIRST} and {_LAST}")


@contextmanager
def _claims() -> Iterator[dict[str, float]]:
    """When each port was last drawn by this user; read and written by one process at a time."""
    path = Path(tempfile.gettempdir()) / f"ates-ports-{os.getuid()}.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            written: dict[str, float] = json.loads(file.read())
        except ValueError:
            # New, or whoever wrote it was killed: then the worst is a port drawn twice.
            written = {}
        claims = {port: at for port, at in written.items() if time.time() - at < _CLAIMED_S}
        yield claims
        file.seek(0)
        file.write(json.dumps(claims))
        file.truncate()
