"""A program that a test starts: says what it was told, then waits for the signal to end."""

import os
import signal
import sys
import time
from types import FrameType


def end(_number: int, _frame: FrameType | None) -> None:
    sys.stdout.write("ending\n")
    sys.exit(3)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    sys.stdout.write(" ".join(["told", os.environ["TOLD"], *sys.argv[1:]]) + "\n")
    sys.stderr.write(f"loaded {'service_kit.streaming' in sys.modules}\n")
    while True:
        time.sleep(60)
