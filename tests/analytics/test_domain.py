from datetime import date, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.domain import (
    DearestTask,
    Period,
    PeriodInvalid,
    asked_period,
    dearest,
    month_of,
    months_touching,
    week_of,
    weeks_touching,
)

DAYS = st.dates(date(2000, 1, 1), date(2199, 12, 31))


def a_task(number: int, day: date, dollars: int, equal_count: int = 1) -> DearestTask:
    return DearestTask(day, UUID(int=number), f"Task {number}", None, dollars * 100, equal_count)


class TestCalendar:
    @given(day=DAYS)
    def test_week_is_monday_to_sunday_around_its_day(self, day: date) -> None:
        week = week_of(day)
        assert day in week
        assert (week.first.weekday(), week.last.weekday()) == (0, 6)
        assert len(list(week)) == 7

    @given(day=DAYS)
    def test_month_begins_on_the_first_and_ends_before_the_next(self, day: date) -> None:
        month = month_of(day)
        assert day in month
        assert month.first.day == (month.last + timedelta(days=1)).day == 1
        assert {each.month for each in month} == {day.month}

    @given(first=DAYS, length=st.integers(0, 399))
    def test_touching_periods_cover_the_range_without_gap(self, first: date, length: int) -> None:
        period = Period(first, first + timedelta(days=length))
        for touching in (weeks_touching(period), months_touching(period)):
            assert period.first in touching[0]
            assert period.last in touching[-1]
            assert all(a.last + timedelta(days=1) == b.first for a, b in pairwise(touching))

    def test_week_may_lie_in_two_years(self) -> None:
        """2026 ends on a Thursday; its last week ends in 2027."""
        assert week_of(date(2026, 12, 31)) == Period(date(2026, 12, 28), date(2027, 1, 3))

    def test_leap_day_belongs_to_its_february(self) -> None:
        assert month_of(date(2028, 2, 29)) == Period(date(2028, 2, 1), date(2028, 2, 29))


class TestAskedPeriod:
    TODAY = date(2026, 3, 15)

    def test_ends_today_when_nothing_is_asked(self) -> None:
        assert asked_period(None, None, today=self.TODAY, days=14) == Period(date(2026, 3, 2), self.TODAY)

    def test_one_end_is_enough(self) -> None:
        """The open end is today, or the asked day where that lies later."""
        may = date(2026, 5, 1)
        assert asked_period(date(2026, 3, 1), None, today=self.TODAY, days=14).last == self.TODAY
        assert asked_period(may, None, today=self.TODAY, days=14) == Period(may, may)
        assert asked_period(None, may, today=self.TODAY, days=14).first == date(2026, 4, 18)

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            (date(2026, 3, 2), date(2026, 3, 1)),
            (date(2025, 1, 1), date(2026, 3, 1)),
            (date(1, 1, 1), date(1, 1, 2)),
            (None, date(1, 1, 2)),
            (date(9999, 12, 31), None),
        ],
    )
    def test_refuses_what_cannot_be_shown(self, first: date | None, last: date | None) -> None:
        """Backwards, longer than 400 days, or outside of any calendar we could draw."""
        with pytest.raises(PeriodInvalid):
            asked_period(first, last, today=self.TODAY, days=14)


class TestDearest:
    MONDAY = date(2026, 3, 2)

    def test_is_the_highest_reward_inside_the_period(self) -> None:
        """The example of N3: 28, 38 and 23 dollars on three days make 38 for the range."""
        days = [a_task(n, self.MONDAY + timedelta(days=n), usd) for n, usd in enumerate((23, 38, 28))]
        found = dearest(days, Period(self.MONDAY, self.MONDAY + timedelta(days=2)))
        assert found is not None
        assert found.reward_cents == 38_00
        assert dearest(days, Period(self.MONDAY, self.MONDAY)) == days[0]

    def test_among_equals_the_first_day_is_named_and_all_are_counted(self) -> None:
        days = [a_task(1, self.MONDAY + timedelta(days=1), 40, 3), a_task(2, self.MONDAY, 40, 2)]
        found = dearest(days, week_of(self.MONDAY))
        assert found == a_task(2, self.MONDAY, 40, 5)

    def test_nothing_completed_is_nothing(self) -> None:
        assert dearest([], week_of(self.MONDAY)) is None
