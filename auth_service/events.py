"""Facts auth_service says: about accounts, keyed by the guid, and about sign-on sessions, keyed by their id.

Ids and settings only, never a name or an address.
"""

from datetime import datetime
from uuid import UUID

from service_kit.events import Event
from service_kit.roles import Role

TOPIC = "auth.accounts"
SESSIONS_TOPIC = "auth.sessions"


class AccountCreated(Event, topic=TOPIC, name="AccountCreated", version=1):
    user_guid: UUID
    role: Role
    active: bool
    created_at: datetime


class AccountUpdated(Event, topic=TOPIC, name="AccountUpdated", version=1):
    user_guid: UUID
    locale: str | None
    time_zone: str
    updated_at: datetime


class AccountRoleChanged(Event, topic=TOPIC, name="AccountRoleChanged", version=1):
    user_guid: UUID
    role: Role
    changed_at: datetime


class AccountBlocked(Event, topic=TOPIC, name="AccountBlocked", version=1):
    user_guid: UUID
    blocked: bool
    """False when the block was lifted."""

    changed_at: datetime


class SessionBegan(Event, topic=SESSIONS_TOPIC, name="SessionBegan", version=1):
    """Somebody signed in."""

    session_id: UUID
    user_guid: UUID
    began_at: datetime


class SessionEnded(Event, topic=SESSIONS_TOPIC, name="SessionEnded", version=1):
    """Somebody signed out, or was signed out; tokens of this session are refused from now on."""

    session_id: UUID
    user_guid: UUID
    ended_at: datetime


SAYS = (AccountCreated, AccountUpdated, AccountRoleChanged, AccountBlocked, SessionBegan, SessionEnded)
