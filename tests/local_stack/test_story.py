"""Stories are cut where order matters, and are the same for a seed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from local_stack.demo.made_up import made_up
from local_stack.demo.story import Story, Work, stretches

MOSCOW = ZoneInfo("Europe/Moscow")
NOON = datetime(2026, 3, 2, 9, tzinfo=UTC)


def work(created_at: datetime, done_at: datetime | None = None) -> Work:
    return Work("manager", "Work", None, created_at, done_at)


def test_cut_at_midnight_of_the_zone() -> None:
    """What happens after midnight in the business zone belongs to the next day, whatever the day in UTC."""
    late = datetime(2026, 3, 2, 20, 59, tzinfo=UTC)
    story = Story([], [work(late, late + timedelta(minutes=2))])
    first, second = stretches(story, MOSCOW)
    assert (first.created, first.done) == ([0], [])
    assert (second.created, second.done) == ([], [0])
    assert second.day - first.day == timedelta(days=1)


def test_cut_at_distributions() -> None:
    """Work before a press of Distribute is played before it."""
    story = Story([], [work(NOON), work(NOON + timedelta(hours=2))], [NOON + timedelta(hours=1)])
    before, after = stretches(story, MOSCOW)
    assert (before.created, before.distribution) == ([0], NOON + timedelta(hours=1))
    assert (after.created, after.distribution) == ([1], None)


def test_made_up_is_repeatable() -> None:
    """The same seed and day give the same story, another seed another one."""
    assert made_up(14, 1, NOON, MOSCOW) == made_up(14, 1, NOON, MOSCOW)
    assert made_up(14, 1, NOON, MOSCOW) != made_up(14, 2, NOON, MOSCOW)


def test_made_up_days() -> None:
    """Fourteen past days of 15 to 25 tasks each, and a today that has not run ahead of the clock."""
    story = made_up(14, 1, NOON, MOSCOW)
    per_day: dict[object, int] = {}
    for each in story.works:
        day = each.created_at.astimezone(MOSCOW).date()
        per_day[day] = per_day.get(day, 0) + 1
    assert len(per_day) == 15
    assert all(15 <= count <= 25 for count in per_day.values())
    assert all(each.created_at < NOON for each in story.works)
    assert all(each.created_at <= (each.done_at or NOON) <= NOON for each in story.works)
    assert all("[" not in each.title for each in story.works)
    assert any(each.done_at is None for each in story.works)
