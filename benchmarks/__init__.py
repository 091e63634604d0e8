"""One module per figure the project claims; `./ates bench NAME` runs one on a running exchange."""

import subprocess
import sys


def ates(*arguments: str) -> str:
    """What the command printed; ends the benchmark with the command's own words when it failed."""
    command = [sys.executable, "-m", "local_stack", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  our own program
    if done.returncode:
        sys.exit(f"./ates {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
