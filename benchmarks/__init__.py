"""One module per figure the project claims; `./ates bench NAME` runs one on a running exchange."""

import subprocess
import sys


def ates(*arguments: str) -> str:
    """What the command printed; raises `subprocess.CalledProcessError` when it failed."""
    command = [sys.executable, "-m", "local_stack", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  our own program
