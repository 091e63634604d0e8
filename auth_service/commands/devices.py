"""A person lets a device in, or sends it away."""

from datetime import UTC, datetime

from sqlalchemy import select

from auth_service.commands.audit import record
from auth_service.domain.devices import user_code_digest
from auth_service.domain.tokens import Subject
from auth_service.models import DeviceGrant, OAuthClient
from service_kit.database import Session
from service_kit.errors import Invalid
from service_kit.text import message as _


class UnknownUserCode(Invalid):
    code = "unknown_user_code"


async def asking_device(session: Session, user_code: str) -> tuple[DeviceGrant, OAuthClient]:
    """The device that shows this code, and its application. Raises `UnknownUserCode`."""
    digest = user_code_digest(user_code)
    found = (
        await session.execute(
            select(DeviceGrant, OAuthClient)
            .join(OAuthClient, OAuthClient.client_id == DeviceGrant.client_id)
            .where(
                DeviceGrant.user_code_digest == digest,
                DeviceGrant.allowed.is_(None),
                DeviceGrant.expires_at > datetime.now(UTC),
            )
            .with_for_update(of=DeviceGrant)
        )
    ).one_or_none()
    if digest is None or found is None:
        raise UnknownUserCode(
            _("No device shows this code, or too many were tried. Look at the device again.")
        )
    grant, client = found
    return grant, client


async def decide_device(session: Session, person: Subject, user_code: str, *, allowed: bool) -> None:
    """Let the device act for this person, or send it away. Raises `UnknownUserCode`."""
    grant, client = await asking_device(session, user_code)
    grant.allowed = allowed
    grant.account_id = person.guid
    grant.session_id = person.session_id
    record(
        session,
        "device_allowed" if allowed else "device_refused",
        actor_id=person.guid,
        account_id=person.guid,
        client_id=client.client_id,
    )
