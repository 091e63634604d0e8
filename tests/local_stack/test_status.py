"""What `status` prints for people."""

from io import StringIO
from typing import Any

from rich.console import Console

from local_stack.status import show

KNOWN: dict[str, Any] = {
    "gateway": "http://localhost:8080",
    "business_time": "2026-03-02T12:00:00+00:00",
    "registry": "http://localhost:8081",
    "kafka": "localhost:9092",
    "letters": "/a/long/folder" * 9,
    "processes": [{"name": "kafka", "state": "running", "ready": True, "restarts": 0, "pid": 7}],
}


def shown(**known: object) -> str:
    printed = StringIO()
    show({**KNOWN, **known}, Console(file=printed, width=60))
    return printed.getvalue()


def test_addresses_and_the_folder_of_letters_are_whole() -> None:
    """However narrow the terminal is: they are there to be copied."""
    for name in ("gateway", "registry", "kafka", "letters"):
        assert KNOWN[name] in shown()


def test_without_a_folder_nothing_is_said_of_letters() -> None:
    """A mail server takes them, or there was none yet."""
    assert "letters" not in shown(letters=None)
