"""A git repository as a story: authors become workers, commits become tasks they were paid for."""

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local_stack.demo.story import Person, Story, Work
from local_stack.troubles import Trouble

_OFFICE = (
    Person("manager", "Manager", "manager"),
    Person("accountant", "Accountant", "accountant"),
)
_RESERVED = {"admin", *(person.login for person in _OFFICE)}

# Fields and commits are parted by characters that names and subjects do not hold.
_FORMAT = "%x1e%aN%x1f%aE%x1f%at%x1f%ct%x1f%s"
_ISSUE_KEY = re.compile(
    r"^\s*[\[(]?(?P<key>[A-Z][A-Z0-9]{1,19}-\d{1,9})[\])]?[\s:,.\-\u2013\u2014]*(?P<rest>.*)$"
)
_LONGEST_TITLE = 200
_LONGEST_NAME = 100
_LONGEST_LOGIN = 40


@dataclass(frozen=True)
class Commit:
    author: str
    email: str
    written_at: datetime
    committed_at: datetime
    subject: str


def read_history(repository: Path) -> list[Commit]:
    try:
        answer = subprocess.run(
            ["git", "-C", str(repository), "log", "--all", f"--format={_FORMAT}"],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Trouble("git is not installed; install it to read a history.") from error
    if answer.returncode != 0:
        raise Trouble(
            f"{repository} is not a git repository that can be read: {answer.stderr.decode().strip()}"
        )
    commits = parse_log(answer.stdout.decode(errors="replace"))
    if not commits:
        raise Trouble(f"{repository} has no commits.")
    return commits


def parse_log(text: str) -> list[Commit]:
    """The commits of a log in our format, the oldest work first."""
    commits = []
    for record in text.split("\x1e")[1:]:
        author, email, written, committed, subject = record.rstrip("\n").split("\x1f", 4)
        commits.append(
            Commit(
                author=author.strip() or "unknown",
                email=email.strip().lower(),
                written_at=datetime.fromtimestamp(int(written), UTC),
                committed_at=datetime.fromtimestamp(int(committed), UTC),
                subject=subject,
            )
        )
    return sorted(commits, key=lambda commit: commit.written_at)


def story_of(commits: Sequence[Commit], now: datetime) -> Story:
    """Every commit as a task: written is created, committed is done."""
    logins = _logins(commits)
    people = [Person(login, name[:_LONGEST_NAME], "worker") for login, name in logins.values()]
    works = []
    for commit in commits:
        jira_id, title = title_of(commit.subject)
        # Clocks of authors are wrong now and then: no work lies in the future, none is done before it came.
        created_at = min(commit.written_at, now)
        works.append(
            Work(
                creator=logins[_identity(commit)][0],
                title=title,
                jira_id=jira_id,
                created_at=created_at,
                done_at=max(created_at, min(commit.committed_at, now)),
            )
        )
    return Story([*_OFFICE, *people], works)


def title_of(subject: str) -> tuple[str | None, str]:
    """A leading issue key, and the rest without the brackets that titles must not hold."""
    found = _ISSUE_KEY.match(subject)
    jira_id = found["key"] if found else None
    rest = found["rest"] if found and found["rest"].strip() else subject
    plain = "".join(char if char.isprintable() else " " for char in rest)
    title = " ".join(plain.replace("[", "(").replace("]", ")").split())
    if len(title) > _LONGEST_TITLE:
        title = title[: _LONGEST_TITLE - 1].rstrip() + "…"
    return jira_id, title or "(no subject)"


def _identity(commit: Commit) -> str:
    return commit.email or commit.author


def _logins(commits: Iterable[Commit]) -> dict[str, tuple[str, str]]:
    """Login and name of each author, one per address, in the order of their first work."""
    logins: dict[str, tuple[str, str]] = {}
    taken = set(_RESERVED)
    for commit in commits:
        identity = _identity(commit)
        if identity in logins:
            continue
        stem = re.sub(r"[^a-z0-9]+", "-", identity.split("@")[0].split("+")[-1].lower()).strip("-")
        stem = stem[:_LONGEST_LOGIN] or "author"
        login, number = stem, 1
        while login in taken or len(login) < 2:  # noqa: PLR2004 - the shortest login
            number += 1
            login = f"{stem}-{number}"
        taken.add(login)
        logins[identity] = (login, commit.author)
    return logins
