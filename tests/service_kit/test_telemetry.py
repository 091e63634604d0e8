"""The log: one JSON object a line, whoever says it."""

import json
import subprocess
import sys
from typing import Any

import pytest

LOADED = """
import logging, structlog
from service_kit import telemetry
telemetry.configure_logging("tracker", "web", "INFO")
telemetry.correlation_id.set("click-1")
ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
"""


def lines_of(said: str) -> list[dict[str, Any]]:
    """What a process of ours writes to its standard output when it says this."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED + said], check=True, capture_output=True, text=True, timeout=60
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_our_lines_and_those_of_libraries_have_the_same_form() -> None:
    ours, theirs = lines_of("ours.info('done'); theirs.info('done')")

    for line, name in ((ours, "ours"), (theirs, "theirs")):
        moment = line.pop("timestamp")
        assert moment.endswith("Z")
        assert line == {
            "event": "done",
            "level": "info",
            "logger": name,
            "correlation_id": "click-1",
            "service": "tracker",
            "process": "web",
        }


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_an_exception_tells_its_traceback_in_its_line(who: str) -> None:
    (line,) = lines_of(f"""
try:
    1 / 0
except ZeroDivisionError:
    {who}.exception("failed")
""")

    assert (line["event"], line["level"]) == ("failed", "error")
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_what_is_below_the_level_is_not_written(who: str) -> None:
    assert lines_of(f"{who}.debug('detail')") == []
