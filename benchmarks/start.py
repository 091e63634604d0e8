"""How long `up` takes when everything is installed, and how much memory the exchange holds at rest.

Stops and starts the exchange of `ATES_HOME`; its data stays.
"""

import argparse
import json
import time
from typing import Any

import psutil

from benchmarks import ates

GOAL_UP_S = 20.0
GOAL_MEMORY_MB = 2048.0
REST_S = 10.0


def memory_mb() -> dict[str, float]:
    """Resident memory by process, with its children; shared pages are shared out (PSS)."""
    found = {}
    for entry in json.loads(ates("status", "--json"))["processes"]:
        root = psutil.Process(entry["pid"])
        family = [root, *root.children(recursive=True)]
        found[entry["name"]] = round(sum(one.memory_full_info().pss for one in family) / 2**20, 1)
    return found


def measure() -> dict[str, Any]:
    status = json.loads(ates("status", "--json"))
    port = status["gateway"].rsplit(":", 1)[1]
    ates("down")
    started = time.monotonic()
    ates("up", "--detach", "--port", port, "--no-demo")
    up_s = round(time.monotonic() - started, 1)
    time.sleep(REST_S)
    memory = memory_mb()
    total = round(sum(memory.values()), 1)
    return {
        "benchmark": "start",
        "up_s": up_s,
        "goal_up_s": GOAL_UP_S,
        "up_by_goal": round(up_s / GOAL_UP_S, 3),
        "memory_mb": memory,
        "memory_total_mb": total,
        "goal_memory_mb": GOAL_MEMORY_MB,
        "memory_by_goal": round(total / GOAL_MEMORY_MB, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps(found))
        return
    for name, size in sorted(found["memory_mb"].items()):
        print(f"{name:20} {size:8.1f} MB")
    memory, up = found["memory_total_mb"], found["up_s"]
    print(f"memory at rest {memory} MB; by the goal of {GOAL_MEMORY_MB:.0f} MB: {found['memory_by_goal']}")
    print(f"up {up} s; by the goal of {GOAL_UP_S:.0f} s: {found['up_by_goal']}")


if __name__ == "__main__":
    main()
