"""Passkeys are added, used, removed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from auth_service.commands.audit import record
from auth_service.commands.letters import queue_letter
from auth_service.commands.sessions import Seat
from auth_service.commands.sign_in import begin_signed_in
from auth_service.domain.passkeys import (
    METHODS,
    NOT_TAKEN,
    PASSKEYS_MAX,
    NewPasskey,
    PasskeyNotFound,
    Place,
    TooManyPasskeys,
    WrongPasskey,
    check_sign_in,
    clean_passkey_name,
    credential_id_of,
)
from auth_service.domain.tokens import digest
from auth_service.models import Account, ClientAssertion, Passkey
from auth_service.settings import AuthSettings
from service_kit.database import Session
from service_kit.ids import new_id
from service_kit.text import message as _

USED_CHALLENGES = "passkey challenge"
"""In the place of a client's id, where proofs that are good once are kept; no client has blanks in its id."""

CHALLENGE_KEPT = timedelta(minutes=10)


async def add_passkey(
    session: Session, account_id: UUID, made: NewPasskey, challenge: bytes, *, name: str
) -> None:
    """Keep a new passkey, and tell its owner by a letter. Raises `WrongPasskey`, `TooManyPasskeys`."""
    # The account is locked first by everything that changes its factors.
    account = await session.get_one(Account, account_id, with_for_update=True)
    await _use_up(session, challenge)
    count = await session.scalar(select(func.count()).where(Passkey.account_id == account_id))
    if (count or 0) >= PASSKEYS_MAX:
        raise TooManyPasskeys(_("You have many passkeys already. Remove one first."))
    added = await session.scalar(
        insert(Passkey)
        .values(
            id=new_id(),
            credential_id=made.credential_id,
            account_id=account_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            name=clean_passkey_name(name) or account.login,
            created_at=datetime.now(UTC),
        )
        .on_conflict_do_nothing()
        .returning(Passkey.id)
    )
    if added is None:
        raise WrongPasskey(NOT_TAKEN)
    record(session, "factor_added", actor_id=account_id, account_id=account_id, details={"factor": "passkey"})
    await queue_letter(session, "passkey_added", {"account": str(account_id)})


async def remove_passkey(session: Session, account_id: UUID, passkey_id: UUID) -> None:
    """Remove one of one's own; somebody else's is not there. Raises `PasskeyNotFound`."""
    gone = await session.scalar(
        delete(Passkey)
        .where(Passkey.id == passkey_id, Passkey.account_id == account_id)
        .returning(Passkey.id)
    )
    if gone is None:
        raise PasskeyNotFound(_("There is no such passkey."))
    record(
        session, "factor_removed", actor_id=account_id, account_id=account_id, details={"factor": "passkey"}
    )


async def sign_in_by_passkey(
    session: Session,
    settings: AuthSettings,
    place: Place,
    credential: dict[str, Any],
    challenge: bytes,
    *,
    seat: Seat,
) -> str:
    """Begin the session of the key's owner; answers the cookie's secret. Raises `WrongPasskey`.

    The guess has been counted before, like that of a password.
    """
    found = (
        await session.execute(
            select(Passkey, Account)
            .join(Account, Account.id == Passkey.account_id)
            .where(Passkey.credential_id == (credential_id_of(credential) or b""))
            # The counter of the key grows by one sign-in at a time.
            .with_for_update()
        )
    ).one_or_none()
    if found is None:
        raise WrongPasskey(NOT_TAKEN)
    passkey, account = found
    count = check_sign_in(
        place,
        credential,
        challenge,
        public_key=passkey.public_key,
        sign_count=passkey.sign_count,
        account_id=account.id,
    )
    if account.blocked:
        raise WrongPasskey(NOT_TAKEN)
    await _use_up(session, challenge)
    passkey.sign_count = count
    passkey.used_at = datetime.now(UTC)
    return await begin_signed_in(session, settings, account.id, seat, METHODS)


async def _use_up(session: Session, challenge: bytes) -> None:
    """Each challenge is answered once, though the browser could send its cookie twice."""
    fresh = await session.scalar(
        insert(ClientAssertion)
        .values(
            client_id=USED_CHALLENGES,
            jti_digest=digest(challenge.hex()),
            expires_at=datetime.now(UTC) + CHALLENGE_KEPT,
        )
        .on_conflict_do_nothing()
        .returning(ClientAssertion.client_id)
    )
    if fresh is None:
        raise WrongPasskey(NOT_TAKEN)
