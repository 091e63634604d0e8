"""A git history becomes work that the tracker accepts."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local_stack.demo.git_history import Commit, parse_log, read_history, story_of, title_of
from local_stack.troubles import Trouble

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def commit(subject: str = "Work", email: str = "a@example.org", **times: datetime) -> Commit:
    return Commit(
        "Ann Author",
        email,
        times.get("written", NOW),
        times.get("committed", times.get("written", NOW)),
        subject,
    )


@pytest.mark.parametrize(
    ("subject", "jira_id", "title"),
    [
        ("POPUG-17: Paint the perch", "POPUG-17", "Paint the perch"),
        ("[AB2-1] - Title", "AB2-1", "Title"),
        ("(AB-1) Title", "AB-1", "Title"),
        ("KAFKA-9 \u2014 Long dash", "KAFKA-9", "Long dash"),
        ("Fix [core] of it", None, "Fix (core) of it"),
        ("Say UTF-8 aloud", None, "Say UTF-8 aloud"),
        ("AB-1", "AB-1", "AB-1"),
        ("", None, "(no subject)"),
        ("tab\tand  spaces\x01", None, "tab and spaces"),
    ],
)
def test_title(subject: str, jira_id: str | None, title: str) -> None:
    """A leading issue key is the Jira id; brackets, control characters and empty titles are mended."""
    assert title_of(subject) == (jira_id, title)


def test_long_title() -> None:
    """A subject longer than a title may be is cut, and shows it."""
    _, title = title_of("x" * 500)
    assert len(title) == 200
    assert title.endswith("\u2026")


def test_authors_become_workers() -> None:
    """One worker per address, under a login of its own, beside the office that is always there."""
    story = story_of(
        [
            commit(email="Jo@a.org".lower()),
            commit(email="jo@b.org"),
            commit(email="jo@a.org"),
            commit(email="admin@c"),
        ],
        NOW,
    )
    workers = [person.login for person in story.people if person.role == "worker"]
    assert workers == ["jo", "jo-2", "admin-2"]
    assert {"manager", "accountant"} < {person.login for person in story.people}


def test_wrong_clocks() -> None:
    """Work neither lies in the future nor is done before it came."""
    story = story_of([commit(written=NOW + timedelta(days=3), committed=NOW - timedelta(days=3))], NOW)
    assert story.works[0].created_at == story.works[0].done_at == NOW


def test_real_log(tmp_path: Path) -> None:
    """git's own output is read, whatever the subject holds."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for subject in ("POPUG-1: First", 'quotes " and \u00fcml\u00e4uts'):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", subject], check=True)
    commits = read_history(tmp_path)
    assert sorted(found.subject for found in commits) == ["POPUG-1: First", 'quotes " and \u00fcml\u00e4uts']
    assert {(found.author, found.email) for found in commits} == {("Ann", "ann@example.org")}


def test_no_repository(tmp_path: Path) -> None:
    """A folder without a history is one clear sentence."""
    with pytest.raises(Trouble, match="is not a git repository"):
        read_history(tmp_path)


def test_oldest_first() -> None:
    """A log, which is newest first, becomes work in its order."""
    text = "\x1eB\x1fb@x\x1f200\x1f200\x1fsecond\n\x1eA\x1fa@x\x1f100\x1f150\x1ffirst\n"
    assert [found.subject for found in parse_log(text)] == ["first", "second"]
