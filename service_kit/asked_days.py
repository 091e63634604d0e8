"""Days between which a list is asked for: read from an address, or what is wrong told beside its field.

A page opens at any address: a day that is none narrows nothing and is told. What is downloaded has no field
to tell it beside, so there it is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from service_kit.errors import FieldError, Invalid
from service_kit.text import Message
from service_kit.text import message as _

ONE_DAY = timedelta(days=1)
YEAR_MIN, YEAR_MAX = 1970, 9000
NO_DAY = _("Write the day like 2026-11-14.")


@dataclass(frozen=True)
class AskedDays:
    """From one business day up to another, both included; an empty text leaves that end open."""

    since: str
    until: str
    zone: ZoneInfo

    @property
    def begins(self) -> datetime | None:
        """The first moment that is wanted."""
        return self._midnight(_day(self.since))

    @property
    def ends(self) -> datetime | None:
        """The first moment that is wanted no more."""
        last = _day(self.until)
        return None if last is None else self._midnight(last + ONE_DAY)

    @property
    def errors(self) -> Mapping[str, Message]:
        """What to tell beside the fields `since` and `until`."""
        asked = {"since": self.since, "until": self.until}
        return {field: NO_DAY for field, text in asked.items() if text and _day(text) is None}

    def refuse_errors(self) -> None:
        """Raises `Invalid` where a day is none."""
        if self.errors:
            raise Invalid(NO_DAY, errors=[FieldError(field, text) for field, text in self.errors.items()])

    def _midnight(self, day: date | None) -> datetime | None:
        return None if day is None else datetime.combine(day, time.min, self.zone)


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if YEAR_MIN <= found.year <= YEAR_MAX else None
