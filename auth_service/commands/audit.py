"""The record of every act that touches security."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as SyncSession

from auth_service.models import AuditEntry
from service_kit.database import Session
from service_kit.ids import new_id
from service_kit.telemetry import caller_address


def record(
    session: Session | SyncSession,
    act: str,
    *,
    actor_id: UUID | None = None,
    account_id: UUID | None = None,
    client_id: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Add one line to the audit log; it is written with the change that it tells of, or not at all.

    From where is known of every request, whoever asks and whatever for.
    """
    session.add(
        AuditEntry(
            id=new_id(),
            at=datetime.now(UTC),
            act=act,
            actor_id=actor_id,
            account_id=account_id,
            client_id=client_id,
            address=caller_address.get(),
            details=details or {},
        )
    )
