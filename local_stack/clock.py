"""The business clock of a local exchange: the system's clock plus an offset that nights and demos move."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from local_stack.home import Home
from local_stack.written_files import read_json, write_json


def offset(home: Home) -> timedelta:
    known = read_json(home.clock_file)
    return timedelta(seconds=known["offset_s"]) if known else timedelta()


def business_now(home: Home) -> datetime:
    return datetime.now(UTC) + offset(home)


def move_to(home: Home, moment: datetime) -> None:
    """Business time is `moment` now, and runs on from there."""
    set_offset(home, moment - datetime.now(UTC))


def set_offset(home: Home, by: timedelta) -> None:
    write_json(home.clock_file, {"offset_s": by.total_seconds()})


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a business day, in UTC.

    Where a clock change skips midnight the missing time is read with the offset before the change, which
    names the moment of the change itself; where midnight is played twice the first one is taken.
    """
    return datetime.combine(day, time(), zone).astimezone(UTC)


def next_midnight(moment: datetime, zone: ZoneInfo) -> datetime:
    """The end of the business day in which `moment` lies, in UTC. A day may last 23 or 25 hours."""
    return start_of(moment.astimezone(zone).date() + timedelta(days=1), zone)
