"""Who was stopped lately: access ends with the fact that ends it, not with the token that is already out.

A token lives for five minutes and is checked without asking anybody. What happens to its person meanwhile is
heard from the issuer's facts and kept here for as long as such a token can still turn up. No time is
compared: sessions are known by their ids, roles by their values, so that clocks that differ do no harm.
"""

import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from service_kit.events import Event
from service_kit.identity.recent import Recent
from service_kit.roles import CurrentUser, Role

KEPT_S = 600.0
"""Twice the longest life of an access token: afterwards nothing that was given out before can come."""


class AccountBlocked(Event, topic="auth.accounts", name="AccountBlocked", version=1):
    user_guid: UUID
    blocked: bool
    changed_at: datetime


class AccountRoleChanged(Event, topic="auth.accounts", name="AccountRoleChanged", version=1):
    user_guid: UUID
    role: Role
    changed_at: datetime


class SessionEnded(Event, topic="auth.sessions", name="SessionEnded", version=1):
    session_id: UUID
    ended_at: datetime


HEARD: tuple[type[Event], ...] = (AccountBlocked, AccountRoleChanged, SessionEnded)


class Denials:
    """What one process knows of people and sessions that were stopped."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._ended: Recent[str, bool] = Recent(KEPT_S, now)
        self._blocked: Recent[UUID, bool] = Recent(KEPT_S, now)
        self._roles: Recent[UUID, Role] = Recent(KEPT_S, now)
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._ended) + len(self._blocked) + len(self._roles)

    def hear(self, fact: Event) -> None:
        """Take in one of `HEARD`; anything else says nothing about access."""
        match fact:
            case SessionEnded():
                self._ended.put(str(fact.session_id), True)
            case AccountBlocked():
                # A lifted block frees the person, not the sessions that it ended.
                self._blocked.put(fact.user_guid, fact.blocked)
            case AccountRoleChanged():
                self._roles.put(fact.user_guid, fact.role)
            case _:
                return
        for listener in self._listeners:
            listener()

    def on_hearing(self, listener: Callable[[], None]) -> None:
        """Call it after every fact that was taken in: somebody may be refused from now on."""
        self._listeners.append(listener)

    def refuses(self, user: CurrentUser) -> bool:
        """Whether this person was blocked, signed out or given another role since the token was made."""
        if user.session_id is not None and self._ended.get(user.session_id):
            return True
        if self._blocked.get(user.guid):
            return True
        role = self._roles.get(user.guid)
        return role is not None and role is not user.role
