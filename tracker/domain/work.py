"""The rules of work: what a task may be called, who may get one, who may complete it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from random import Random, SystemRandom
from uuid import UUID

from service_kit.errors import Conflict, Forbidden, Invalid, NotFound, cleaned
from service_kit.text import Message
from service_kit.text import message as _

TITLE_LENGTH_MAX = 200
JIRA_ID_LENGTH_MAX = 50
DESCRIPTION_LENGTH_MAX = 10_000

FILTER_NAME_LENGTH_MAX = 60
FILTERS_MAX = 50

NEVER_ASSIGNED = ("admin", "client", "manager")
"""Roles that never get a task (R10): they run the exchange or order from it. Accountants work too."""

RUNS_DISTRIBUTIONS = frozenset({"admin", "manager"})

# Letters are spelled out: `[a-z]` with IGNORECASE also takes the Kelvin sign, `\d` every script's digits.
_JIRA_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+")
_DASHES = "-\u2013\u2014:"
_BRACKETED = re.compile(rf"\s*\[\s*({_JIRA_ID.pattern})\s*\]\s*(?:[{_DASHES}]\s*)?(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Status(StrEnum):
    OPEN = "open"
    DONE = "done"


class HistoryKind(StrEnum):
    CREATED = "created"
    ASSIGNED = "assigned"
    UPDATED = "updated"
    COMPLETED = "completed"


class AssignReason(StrEnum):
    CREATED = "created"
    DISTRIBUTED = "distributed"


class DistributionStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"


STATUS_LABELS: dict[str, dict[Status, Message]] = {
    "birds": {Status.OPEN: _("Birdie in a cage"), Status.DONE: _("Millet in a bowl")},
    "plain": {Status.OPEN: _("Open"), Status.DONE: _("Done")},
}
"""The business's own words for the two states (C2) and the plain ones; events and API know neither."""


class TaskNotFound(NotFound):
    code = "task_not_found"
    title = _("There is no such task")


class DistributionNotFound(NotFound):
    code = "distribution_not_found"
    title = _("There is no such distribution")


class ImportNotFound(NotFound):
    code = "import_not_found"
    title = _("There is no such import")


class TaskAlreadyDone(Conflict):
    code = "task_already_done"
    title = _("This task is already done")


class VersionConflict(Conflict):
    code = "version_conflict"
    title = _("Somebody else changed this task meanwhile")


class NobodyToAssign(Conflict):
    code = "nobody_to_assign"
    title = _("There is nobody who could get a task")


class FilterInvalid(Invalid):
    code = "filter_invalid"
    title = _("This filter cannot be saved")


class NotTheAssignee(Forbidden):
    code = "not_the_assignee"
    title = _("This task belongs to somebody else")


class NotYoursToEdit(Forbidden):
    code = "not_yours_to_edit"
    title = _("You may not edit this task")


class TitleHasBrackets(Invalid):
    code = "title_has_brackets"
    title = _("A title has no square brackets")


class TitleInvalid(Invalid):
    code = "title_invalid"
    title = _("This title cannot be accepted")


class JiraIdInvalid(Invalid):
    code = "jira_id_invalid"
    title = _("This Jira id cannot be accepted")


class DescriptionInvalid(Invalid):
    code = "description_invalid"
    title = _("This description cannot be accepted")


@dataclass(frozen=True, slots=True)
class SplitTitle:
    """A line as people write it, taken apart."""

    jira_id: str | None
    title: str


@dataclass(frozen=True, slots=True)
class TaskText:
    """What a task says, checked."""

    title: str
    jira_id: str | None
    description: str

    @property
    def title_v1(self) -> str:
        """The title as version 1 of TaskCreated carries it: with the Jira id in front."""
        return f"[{self.jira_id}] - {self.title}" if self.jira_id else self.title


@dataclass(frozen=True, slots=True)
class AccountFact:
    """What one fact about an account says; None where it says nothing."""

    account_id: UUID
    at: datetime
    role: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """What several facts about one account say together, and since when."""

    account_id: UUID
    role: str | None = None
    role_at: datetime | None = None
    active: bool | None = None
    active_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What billing says of a task: the fee of each assignment and the reward for doing it."""

    task_id: UUID
    fee_cents: int
    reward_cents: int


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list is narrowed to; None and empty narrow nothing."""

    status: Status | None = None
    assignee_id: UUID | None = None
    search: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


def parse_title(line: str) -> SplitTitle:
    """Take "[KEY-1] - title" apart, as people paste it; any other line is a title as it stands (C1)."""
    match = _BRACKETED.fullmatch(line)
    if match is None:
        return SplitTitle(None, line.strip())
    return SplitTitle(match[1].upper(), match[2].strip())


def split_pasted(title: str, jira_id: str) -> SplitTitle:
    """Move a key from the title into its field, unless another was typed there: then the author decides."""
    split = parse_title(title)
    if split.jira_id and jira_id.strip().upper() in {"", split.jira_id}:
        return split
    return SplitTitle(jira_id, title.strip())


def task_text(title: str, jira_id: str | None, description: str | None) -> TaskText:
    """Check what somebody wrote; spaces around it and runs of them inside the title are tidied.

    Raises `TitleHasBrackets`, `TitleInvalid`, `JiraIdInvalid` or `DescriptionInvalid`, which names every
    field that is wrong.
    """
    fields = cleaned(
        title=lambda: _checked_title(title),
        jira_id=lambda: _checked_jira_id(jira_id),
        description=lambda: _checked_description(description),
    )
    return TaskText(**fields)


def _checked_title(title: str) -> str:
    if "[" in title or "]" in title:
        raise TitleHasBrackets.of(
            "title", _("A title has no square brackets; the Jira id has a field of its own.")
        )
    tidy = " ".join(title.split())
    if not tidy:
        raise TitleInvalid.of("title", _("Please say in a few words what is to be done."))
    if len(tidy) > TITLE_LENGTH_MAX:
        raise TitleInvalid.of("title", _("A title has at most {limit} characters.", limit=TITLE_LENGTH_MAX))
    if _CONTROL.search(tidy):
        raise TitleInvalid.of("title", _("There are control characters in the text."))
    return tidy


def _checked_jira_id(jira_id: str | None) -> str | None:
    tidy = (jira_id or "").strip()
    if not tidy:
        return None
    if not _JIRA_ID.fullmatch(tidy) or len(tidy) > JIRA_ID_LENGTH_MAX:
        raise JiraIdInvalid.of("jira_id", _("A Jira id looks like KEY-123."))
    return tidy.upper()


def _checked_description(description: str | None) -> str:
    tidy = (description or "").replace("\r\n", "\n").strip()
    if len(tidy) > DESCRIPTION_LENGTH_MAX:
        raise DescriptionInvalid.of(
            "description", _("A description has at most {limit} characters.", limit=DESCRIPTION_LENGTH_MAX)
        )
    if _CONTROL.search(tidy):
        raise DescriptionInvalid.of("description", _("There are control characters in the text."))
    return tidy


def searched_text(text: str | None) -> str | None:
    """What is looked for, without what no text contains; None when nothing is left."""
    return " ".join(_CONTROL.sub(" ", text or "").split()) or None


def filter_name(name: str) -> str:
    """Check the name of a saved filter. Raises `FilterInvalid`."""
    tidy = " ".join(_CONTROL.sub(" ", name).split())
    if not tidy or len(tidy) > FILTER_NAME_LENGTH_MAX:
        raise FilterInvalid.of("name", _("A name has 1 to {limit} characters.", limit=FILTER_NAME_LENGTH_MAX))
    return tidy


def refuse_further_filter(others: int) -> None:
    if others >= FILTERS_MAX:
        raise FilterInvalid(
            _("At most {limit} filters can be saved; take one away first.", limit=FILTERS_MAX)
        )


def newest_by_account(facts: Iterable[AccountFact]) -> list[KnownAccount]:
    """Fold facts into one state per account; the later moment wins, and of equal moments the later word."""
    known: dict[UUID, KnownAccount] = {}
    for fact in facts:
        state = known.get(fact.account_id) or KnownAccount(fact.account_id)
        if fact.role is not None and (state.role_at is None or fact.at >= state.role_at):
            state = replace(state, role=fact.role, role_at=fact.at)
        if fact.active is not None and (state.active_at is None or fact.at >= state.active_at):
            state = replace(state, active=fact.active, active_at=fact.at)
        known[fact.account_id] = state
    return list(known.values())


def may_edit(*, actor_id: UUID, role: str, created_by: UUID, assignee_id: UUID) -> bool:
    """Whoever asked for the work or does it, and those who run the exchange."""
    return actor_id in {created_by, assignee_id} or role in RUNS_DISTRIBUTIONS


def refuse_editor(*, actor_id: UUID, role: str, created_by: UUID, assignee_id: UUID) -> None:
    if not may_edit(actor_id=actor_id, role=role, created_by=created_by, assignee_id=assignee_id):
        raise NotYoursToEdit(_("Its author, its assignee, managers and administrators may edit a task."))


def refuse_completion(*, actor_id: UUID, assignee_id: UUID, status: str) -> None:
    """Raise unless this person may complete the task now: its assignee only, and once (R3)."""
    if actor_id != assignee_id:
        raise NotTheAssignee(_("Only the one it is assigned to can complete a task."))
    refuse_done(status)


def refuse_done(status: str) -> None:
    if status == Status.DONE:
        raise TaskAlreadyDone(_("This task was completed before; nothing has changed."))


def refuse_stale(*, known: int, current: int) -> None:
    """Raise when an edit was made on an older text than the present one, so that no edit is lost (S1-41)."""
    if known != current:
        raise VersionConflict(_("Look at the present text and make your change again."))


def nobody_to_assign() -> NobodyToAssign:
    return NobodyToAssign(_("No active account may get tasks: managers and administrators never do."))


def fair_dice() -> Random:
    """Draw from the operating system's randomness: nobody can tell or steer who gets the next task."""
    return SystemRandom()


def draw_assignees(random: Random, eligible: Sequence[UUID], tasks: int) -> list[UUID]:
    """Draw one person for each task, independently; it may be the same person again (R2)."""
    if not eligible:
        raise nobody_to_assign()
    return random.choices(eligible, k=tasks)
