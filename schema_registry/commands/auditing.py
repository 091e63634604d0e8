"""The record of who changed what."""

from typing import Any

from schema_registry.models import Change
from service_kit.database import Session
from service_kit.listening import tell

CHANGES = "registry_changed"
"""Channel over which processes of the registry tell each other that something changed."""


async def note_change(session: Session, author: str, method: str, path: str, details: dict[str, Any]) -> None:
    """Write down a change in its own transaction, and tell the other processes when it is committed."""
    session.add(Change(author=author, method=method, path=path, details=details))
    await tell_change(session)


async def tell_change(session: Session) -> None:
    await tell(session, CHANGES)
