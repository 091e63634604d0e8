"""`bench`: runs the programs in `benchmarks/`, each of which prints its own figures."""

import signal
import subprocess
import sys
from collections.abc import Sequence

from local_stack.home import ROOT
from local_stack.troubles import Trouble

_FOLDER = ROOT / "benchmarks"


def names() -> list[str]:
    return sorted(file.stem for file in _FOLDER.glob("*.py") if not file.stem.startswith("_"))


def run(name: str | None, further: Sequence[str] = (), *, as_json: bool) -> int:
    known = names()
    if name is not None and name not in known:
        raise Trouble(f"There is no benchmark {name}. There is: {', '.join(known) or 'none yet'}.")
    options = [*further, "--json"] if as_json else further
    worst = 0
    for wanted in [name] if name else known:
        # As a module: run as a file, benchmarks/tracker.py would stand before the tracker itself.
        command = [sys.executable, "-m", f"benchmarks.{wanted}", *options]
        worst = max(worst, abs(_run_to_its_end(command)))
    return worst


def _run_to_its_end(command: Sequence[str]) -> int:
    """Interrupted or killed politely, it still ends by itself: it stops the engines that it has started."""
    with subprocess.Popen(command, cwd=ROOT) as program:
        before = signal.signal(signal.SIGTERM, lambda *_: program.terminate())
        try:
            return program.wait()
        except KeyboardInterrupt:
            # The terminal has told the program as well.
            return program.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
