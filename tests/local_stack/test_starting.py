"""What `up` says in the end is true of the exchange that was started."""

from pathlib import Path

import pytest

from local_stack.home import Home
from local_stack.layout import Layout
from local_stack.ports import PortChooser
from local_stack.starting import describe
from local_stack.state import ProcessState, State
from local_stack.written_files import write_json


@pytest.mark.parametrize(
    ("demo", "named", "unnamed"),
    [
        (None, ["admin"], ["manager", "worker1"]),
        ({"state": "interrupted"}, ["admin"], ["manager", "worker1"]),
        ({"state": "loaded", "title": "x", "workers_sign_in": True}, ["admin", "manager", "worker5"], []),
        ({"state": "loaded", "title": "x", "workers_sign_in": False}, ["admin", "accountant"], ["worker1"]),
    ],
)
def test_only_people_who_are_there_are_named(
    tmp_path: Path, demo: dict[str, object] | None, named: list[str], unnamed: list[str]
) -> None:
    home = Home(tmp_path)
    if demo is not None:
        write_json(home.demo_file, demo)
    state = State(ProcessState("supervisor"), "ready", Layout.choose(PortChooser(set()).draw()))
    said = describe(state, home)
    assert [name in said for name in named] == [True] * len(named)
    assert [name in said for name in unnamed] == [False] * len(unnamed)


def test_where_letters_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, or the mail server by the name of its setting: a password may stand in its address."""
    home = Home(tmp_path)
    state = State(ProcessState("supervisor"), "ready", Layout.choose(PortChooser(set()).draw()))
    monkeypatch.delenv("ATES_SMTP_URL", raising=False)
    assert str(home.letters) in describe(state, home)
    monkeypatch.setenv("ATES_SMTP_URL", "smtps://us:hidden@mail.example.org")
    said = describe(state, home)
    assert "ATES_SMTP_URL" in said
    assert str(home.letters) not in said
    assert "hidden" not in said
