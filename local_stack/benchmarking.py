"""`bench`: runs the programs in `benchmarks/`, each of which prints its own figures."""

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
        worst = max(worst, abs(subprocess.run(command, cwd=ROOT, check=False).returncode))
    return worst
