"""Who somebody is in the exchange, in words that domain and commands may use: no framework, no token."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from service_kit.text import message as _


class Role(StrEnum):
    """What somebody is in the exchange. The values travel in tokens and events."""

    WORKER = "worker"
    MANAGER = "manager"
    ACCOUNTANT = "accountant"
    ADMIN = "admin"
    CLIENT = "client"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Role.WORKER: _("Worker"),
    Role.MANAGER: _("Manager"),
    Role.ACCOUNTANT: _("Accountant"),
    Role.ADMIN: _("Administrator"),
    Role.CLIENT: _("Client"),
}


@dataclass(frozen=True, slots=True)
class CurrentUser:
    """The person behind a request. Tokens carry no name; only the sign-in tells one."""

    guid: UUID
    role: Role
    name: str | None = None
    locale: str | None = None
    """What the account prefers; None when the caller's own header decides."""
    session_id: str | None = None

    def is_any(self, *roles: Role) -> bool:
        return self.role in roles
