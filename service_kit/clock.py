"""Business time, injected everywhere: when work happened, which day is open.

Tokens, locks and logs live by the system's clock. Business time is the system's clock plus an offset that
only a local exchange can have, so that a night can be played without waiting for it.
"""

import json
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from service_kit.settings import ServiceSettings

_moment_of_request: ContextVar[datetime | None] = ContextVar("moment_of_request", default=None)


class Clock(Protocol):
    """Tells business time."""

    def now(self) -> datetime:
        """Business time as an aware UTC datetime."""

    def today(self, zone: "ZoneInfo") -> date:
        """The business date in `zone`."""


class SystemClock:
    """The system's clock, moved by the offset in `clock_file` when there is one."""

    def __init__(self, clock_file: Path | None = None) -> None:
        self._file = clock_file
        self._stamp: tuple[int, int] | None = None
        self._offset = timedelta()

    @classmethod
    def of(cls, settings: "ServiceSettings") -> "SystemClock":
        return cls(settings.clock_file)

    def now(self) -> datetime:
        moment = _moment_of_request.get()
        if moment is not None:
            return moment
        return datetime.now(UTC) + self._read_offset()

    def today(self, zone: "ZoneInfo") -> date:
        return self.now().astimezone(zone).date()

    def _read_offset(self) -> timedelta:
        if self._file is None:
            return self._offset
        try:
            status = self._file.stat()
            # The inode is part of the stamp: the file is replaced by a rename, possibly within one tick
            # of the file system's clock.
            stamp = (status.st_ino, status.st_mtime_ns)
            if stamp != self._stamp:
                self._offset = timedelta(seconds=json.loads(self._file.read_text())["offset_s"])
                self._stamp = stamp
        except FileNotFoundError:
            self._offset, self._stamp = timedelta(), None
        return self._offset


class FixedClock:
    """A clock that stands still until it is advanced; for tests and rehearsals."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)

    def now(self) -> datetime:
        return _moment_of_request.get() or self._moment

    def today(self, zone: "ZoneInfo") -> date:
        return self.now().astimezone(zone).date()

    def advance(self, by: timedelta) -> None:
        self._moment += by

    def set(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)


@contextmanager
def business_moment(moment: datetime) -> "Iterator[None]":
    """Let business time stand at `moment` for what runs inside, for instance one replayed request."""
    token = _moment_of_request.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _moment_of_request.reset(token)
