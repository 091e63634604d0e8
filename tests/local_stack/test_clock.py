"""Business days begin at midnight of their zone, whatever the clocks of that zone do."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_stack import clock
from local_stack.home import Home

YEAR_2000, YEAR_2037 = 946_684_800, 2_114_380_800


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Moscow", datetime(2026, 3, 29, 9, tzinfo=UTC), 24),
        ("Europe/Berlin", datetime(2026, 3, 29, 9, tzinfo=UTC), 23),
        ("Europe/Berlin", datetime(2026, 10, 25, 9, tzinfo=UTC), 25),
        ("Africa/Cairo", datetime(2026, 4, 24, 9, tzinfo=UTC), 23),
    ],
)
def test_day_length(zone: str, moment: datetime, hours: int) -> None:
    """A day lasts 23, 24 or 25 hours."""
    here = ZoneInfo(zone)
    end = clock.next_midnight(moment, here)
    assert end - clock.start_of(moment.astimezone(here).date(), here) == timedelta(hours=hours)


def test_midnight_that_does_not_exist() -> None:
    """Where the clocks jump over midnight the day begins with the jump."""
    began = clock.start_of(date(2026, 4, 24), ZoneInfo("Africa/Cairo"))
    assert began.astimezone(ZoneInfo("Africa/Cairo")).isoformat() == "2026-04-24T01:00:00+03:00"


@given(
    st.integers(YEAR_2000, YEAR_2037).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(sorted(available_timezones() - {"localtime"})),
)
def test_next_midnight_is_ahead_and_near(moment: datetime, name: str) -> None:
    """The next midnight lies ahead, and a later date begins there. Only a zone that skips a day is slower."""
    zone = ZoneInfo(name)
    end = clock.next_midnight(moment, zone)
    assert moment < end <= moment + timedelta(hours=49)
    assert end.astimezone(zone).date() > moment.astimezone(zone).date()


def test_the_clock_runs_on(tmp_path: Path) -> None:
    """A moved clock is a clock: it runs on from where it was set."""
    home = Home(tmp_path)
    assert clock.offset(home) == timedelta()
    clock.move_to(home, datetime(2030, 1, 1, tzinfo=UTC))
    first = clock.business_now(home)
    assert timedelta() <= first - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(seconds=5)
    assert clock.business_now(home) > first
