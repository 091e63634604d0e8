"""Sign-in in three steps: count the guess, check it outside of any transaction, begin the session.

The guess is counted and committed before it is checked, so that guesses made at the same time never get more
tries than the limit allows. Where an authenticator app is set up, a right password is the first half: the
second is counted and checked in the same way.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Row, bindparam, select, update

from auth_service.commands.audit import record
from auth_service.commands.factors import check_second_factor
from auth_service.commands.guesses import guessed_right
from auth_service.commands.sessions import Seat, begin_session, go_on
from auth_service.domain.guesses import account_key, second_factor_key
from auth_service.domain.tokens import digest
from auth_service.models import Account, TotpFactor
from auth_service.settings import AuthSettings
from service_kit.database import Session

REHASHED = "password_rehashed"

Owner = Row[UUID, str | None, bool]
"""Who may sign in: `id`, `password_hash`, `has_second_factor`."""

# Columns, not objects: to make one of an account takes longer than to ask for it.
OWNER = (
    select(
        Account.id,
        Account.password_hash,
        TotpFactor.confirmed_at.is_not(None).label("has_second_factor"),
    )
    .outerjoin(TotpFactor, TotpFactor.account_id == Account.id)
    .where(Account.id == bindparam("account"), Account.blocked.is_(False))
    .with_for_update(of=Account)
)


@dataclass(frozen=True)
class SecondFactorNeeded:
    """The first half of a sign-in. A password that is changed meanwhile makes it worthless."""

    account_id: UUID
    fingerprint: str
    first: str = "pwd"
    """What the first half was."""


@dataclass(frozen=True)
class Shown:
    """A password that was right a moment ago."""

    account_id: UUID
    login: str
    checked_hash: str


async def sign_in(
    session: Session, settings: AuthSettings, shown: Shown, seat: Seat, *, new_hash: str | None
) -> str | SecondFactorNeeded | None:
    """Begin a session for somebody whose password was right.

    Answers the cookie's secret, or that a code is needed as well, or None when the account was blocked or its
    password changed meanwhile.
    """
    owner = await owner_of(session, shown.account_id)
    if owner is None or owner.password_hash != shown.checked_hash:
        return None
    if new_hash is not None:
        await session.execute(update(Account).where(Account.id == owner.id).values(password_hash=new_hash))
        record(session, REHASHED, account_id=owner.id)
    return await begin_or_half(session, settings, owner, seat, "pwd", wiped=account_key(shown.login))


async def begin_at_once(session: Session, settings: AuthSettings, shown: Shown, seat: Seat) -> str | None:
    """The same in one statement, where there is nothing else to do: no transaction is needed around it.

    None, and nothing is done, where the browser had a session, where a second factor has to be shown, or
    where the account may not sign in any more: `sign_in` knows which.
    """
    if seat.session_id is not None:
        return None
    return await begin_session(
        session,
        settings,
        shown.account_id,
        seat,
        proof=shown.checked_hash,
        whole=False,
        wiped=account_key(shown.login),
    )


async def owner_of(session: Session, account_id: UUID) -> Owner | None:
    """Hold an account that may sign in; answers whether it has a second factor."""
    found = await session.execute(OWNER, {"account": account_id})
    return found.one_or_none()


async def begin_or_half(
    session: Session,
    settings: AuthSettings,
    owner: Owner,
    seat: Seat,
    first: str,
    *,
    wiped: bytes | None = None,
) -> str | SecondFactorNeeded:
    """Begin the session, unless a second factor has to be shown before."""
    if not owner.has_second_factor:
        return await begin_signed_in(session, settings, owner.id, seat, (first,), wiped=wiped)
    await guessed_right(session, seat.address, wiped=wiped)
    return SecondFactorNeeded(owner.id, _fingerprint(owner), first)


async def complete_sign_in(
    session: Session, settings: AuthSettings, half: SecondFactorNeeded, *, code: str, seat: Seat
) -> str | None:
    """Begin the session of somebody who showed the second factor as well; None when the code is wrong.

    It is None too when the account was blocked or its password changed since the first half.
    """
    owner = await owner_of(session, half.account_id)
    if owner is None or _fingerprint(owner) != half.fingerprint:
        return None
    secret_key = settings.secret_key.get_secret_value()
    if not await check_second_factor(session, secret_key, half.account_id, code):
        return None
    wiped = second_factor_key(half.account_id)
    return await begin_signed_in(session, settings, owner.id, seat, (half.first, "otp"), wiped=wiped)


def note_failed_sign_in(session: Session, account_id: UUID | None, *, reason: str) -> None:
    """Keep why, for the admins; the person at the form is always told the same."""
    record(session, "sign_in_failed", account_id=account_id, details={"reason": reason})


async def begin_signed_in(
    session: Session,
    settings: AuthSettings,
    account_id: UUID,
    seat: Seat,
    methods: tuple[str, ...],
    *,
    wiped: bytes | None = None,
) -> str:
    """Begin the session of somebody whose proofs were checked, and whose account is held.

    Answers the cookie's secret. What was counted under the key `wiped` is forgotten.
    """
    gone_on = await go_on(session, settings, account_id, seat, methods=methods)
    if gone_on is not None:
        details = {"methods": methods}
        record(session, "signed_in", actor_id=account_id, account_id=account_id, details=details)
        await guessed_right(session, seat.address, wiped=wiped)
        return gone_on
    begun = await begin_session(session, settings, account_id, seat, methods=methods, wiped=wiped)
    if begun is None:
        raise RuntimeError("an account that is held and may sign in does not begin a session")
    return begun


def _fingerprint(owner: Owner) -> str:
    return digest(owner.password_hash or "").hex()
