"""Whether the machine can carry an exchange; said before anything is started."""

import shutil
from pathlib import Path

import psutil

from local_stack.troubles import Trouble

GIB = 1024**3
LEAST_MEMORY = 2 * GIB
LEAST_DISK = 2 * GIB


def check_machine(folder: Path) -> None:
    check_memory(psutil.virtual_memory().available)
    folder.mkdir(parents=True, exist_ok=True)
    check_disk(shutil.disk_usage(folder).free, folder)


def check_memory(available: int) -> None:
    if available < LEAST_MEMORY:
        raise Trouble(
            f"Only {available / GIB:.1f} GB of memory is free, an exchange needs {LEAST_MEMORY // GIB} GB: "
            "close other programs, or give the machine more memory."
        )


def check_disk(free: int, folder: Path) -> None:
    if free < LEAST_DISK:
        raise Trouble(
            f"Only {free / GIB:.1f} GB is free on the disk of {folder}, an exchange needs "
            f"{LEAST_DISK // GIB} GB: free some, or name a folder on another disk by ATES_HOME."
        )
