"""A made-up fortnight in an office of parrots: the same for the same seed and day."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from local_stack.clock import start_of
from local_stack.demo.story import Person, Story, Work

PEOPLE = (
    Person("manager", "Maria Kakadu", "manager", "manager@parrots.example"),
    Person("accountant", "Arkady Lori", "accountant", "accountant@parrots.example"),
    Person("worker1", "Vera Ara", "worker", "worker1@parrots.example"),
    Person("worker2", "Gosha Zhako", "worker", "worker2@parrots.example"),
    Person("worker3", "Kesha Volnisty", "worker", "worker3@parrots.example"),
    Person("worker4", "Lida Korella", "worker", "worker4@parrots.example"),
    Person("worker5", "Timur Amazon", "worker", "worker5@parrots.example"),
)

_CREATORS = ("manager", "manager", "manager", "admin", "accountant", "worker1", "worker3")

_DEEDS = (
    "Fix the flaky import of {thing}",
    "Write down how {thing} is rolled back",
    "Move {thing} to the new server",
    "Find out why {thing} is slow on Mondays",
    "Check the backups of {thing}",
    "Answer the auditors about {thing}",
    "Add a health check to {thing}",
    "Update the certificates of {thing}",
    "Show {thing} to the new colleagues",
    "Clean up the logs of {thing}",
    "Agree on the format of {thing} with the bank",
    "Measure {thing} under load",
    "Translate the texts of {thing}",
    "Close the old ports of {thing}",
    "Restore {thing} after the power cut",
)

_THINGS = (
    "the millet warehouse",
    "the payroll export",
    "the cage booking",
    "the feather catalogue",
    "the flight timetable",
    "the nest insurance form",
    "the invoice archive",
    "the customer chat",
    "the seed price list",
    "the perch reservation",
    "the visitors' network",
    "the mirror shop",
)

_FIRST_JIRA_NUMBER = 1001
_DAYS_BETWEEN_DISTRIBUTIONS = 5
_DAY_STARTS_H, _DAY_ENDS_H = 9, 20
_SHARE_DONE = 0.93


def made_up(days: int, seed: int, now: datetime, zone: ZoneInfo) -> Story:
    """`days` past days of 15 to 25 tasks each, and today as far as it has come."""
    dice = Random(seed)  # noqa: S311 - a story, not a secret
    today = now.astimezone(zone).date()
    works: list[Work] = []
    distributions = []
    for ago in range(days, -1, -1):
        day = today - timedelta(days=ago)
        works += _works_of(day, dice, zone, len(works))
        if ago % _DAYS_BETWEEN_DISTRIBUTIONS == 1:
            distributions.append(start_of(day, zone) + timedelta(hours=14))
    return Story(PEOPLE, _until(now, works, today, zone), distributions)


def _works_of(day: date, dice: Random, zone: ZoneInfo, before: int) -> Iterator[Work]:
    midnight = start_of(day, zone)
    opening = midnight + timedelta(hours=_DAY_STARTS_H)
    span_s = (_DAY_ENDS_H - _DAY_STARTS_H) * 3600
    for number in range(dice.randint(15, 25)):
        created_at = opening + timedelta(seconds=dice.uniform(0, span_s * 0.7))
        # Most tasks take hours, some wait for days.
        took = timedelta(minutes=dice.uniform(10, 240), days=dice.choice((0, 0, 0, 0, 0, 1, 2)))
        yield Work(
            creator=dice.choice(_CREATORS),
            title=dice.choice(_DEEDS).format(thing=dice.choice(_THINGS)),
            jira_id=f"POPUG-{_FIRST_JIRA_NUMBER + before + number}" if dice.random() < 0.9 else None,  # noqa: PLR2004
            created_at=created_at,
            done_at=created_at + took if dice.random() < _SHARE_DONE else None,
        )


def _until(now: datetime, works: list[Work], today: date, zone: ZoneInfo) -> list[Work]:
    """What lies after `now` has not happened; today's work is pressed into the part of today that has."""
    began = start_of(today, zone)
    # However early in the day it is, today has some work to show.
    share = (now - began) / timedelta(days=1)
    kept = []
    for work in works:
        created_at = work.created_at
        if created_at >= began:
            created_at = began + (created_at - began) * share
        done_at = max(work.done_at, created_at) if work.done_at is not None else None
        if done_at is not None and done_at >= now:
            done_at = None
        kept.append(Work(work.creator, work.title, work.jira_id, created_at, done_at))
    return kept
