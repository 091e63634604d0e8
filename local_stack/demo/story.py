"""What a demo consists of, without a word about how it is loaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Person:
    login: str
    name: str
    role: str
    email: str | None = None


@dataclass(frozen=True)
class Work:
    """One task: who asks for it, what it says, when it came and when it was done."""

    creator: str
    title: str
    jira_id: str | None
    created_at: datetime
    done_at: datetime | None
    """None: it is still open. Never before `created_at`."""


@dataclass(frozen=True)
class Story:
    people: Sequence[Person]
    works: Sequence[Work]
    distributions: Sequence[datetime] = ()


@dataclass
class Stretch:
    """What happens on one business day until its next distribution, or until its end."""

    day: date
    created: list[int] = field(default_factory=list)
    """Numbers of works; those done in the same stretch are in `done` as well."""

    done: list[int] = field(default_factory=list)
    distribution: datetime | None = None


def stretches(story: Story, zone: ZoneInfo) -> Iterator[Stretch]:
    """The story in order, cut at midnights and at distributions. Days without anything are left out."""
    moments: list[tuple[datetime, int, int]] = []
    for number, work in enumerate(story.works):
        moments.append((work.created_at, 0, number))
        if work.done_at is not None:
            moments.append((work.done_at, 1, number))
    moments += [(moment, 2, -1) for moment in story.distributions]
    current: Stretch | None = None
    for moment, kind, number in sorted(moments):
        day = moment.astimezone(zone).date()
        if current is None or current.day != day:
            if current is not None:
                yield current
            current = Stretch(day)
        if kind == 0:
            current.created.append(number)
        elif kind == 1:
            current.done.append(number)
        else:
            current.distribution = moment
            yield current
            current = Stretch(day)
    if current is not None:
        yield current
