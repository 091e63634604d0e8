"""Sign-in in three steps: count the guess, check it outside of any transaction, begin the session.

The guess is counted and committed before it is checked, so that guesses made at the same time never get more
tries than the limit allows. Where an authenticator app is set up, a right password is the first half: the
second is counted and checked in the same way.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Interval, LargeBinary, bindparam, case, delete, select, text, update

from auth_service.commands.audit import record
from auth_service.commands.factors import check_second_factor
from auth_service.commands.sessions import begin_session
from auth_service.domain.sign_in import (
    FORGOTTEN_AFTER,
    WaitRule,
    account_key,
    address_key,
    caller_key,
    device_key,
    letter_key,
    second_factor_key,
    stranger_key,
)
from auth_service.domain.tokens import digest
from auth_service.models import Account, GuessCounter, TotpFactor
from auth_service.settings import AuthSettings
from service_kit.database import Session

REHASHED = "password_rehashed"
SECOND_GUESSES = 5
"""Of a million codes three are right at a time: five tries before the first wait."""


USER_CODE_GUESSES = 20
LETTERS_AT_ONCE = 3
"""Letters about one account within an hour before the next one has to wait."""


# One statement: two that guess at the same time wait for each other inside of it, and the second one sees
# what the first one wrote. The clock is read there too: a time taken before the wait could lie before that.
COUNT = text(
    """
    insert into guess_counters as counter (key, failures, last_at, waits_until)
    values (:key, 1, clock_timestamp(), clock_timestamp() + :first_wait)
    on conflict (key) do update set (failures, last_at, waits_until) = (
        select present.failures, moment, moment + (:waits)[
            least(greatest(present.failures - :free, -1) + 2, :longest)
        ]
        from (
            select moment, case when counter.last_at < moment - :forgotten then 1
                else counter.failures + 1 end as failures
            from (select clock_timestamp() as moment) as now
        ) as present
    )
    where counter.waits_until <= clock_timestamp()
    returning failures
    """
).bindparams(
    bindparam("key", type_=LargeBinary),
    bindparam("first_wait", type_=Interval),
    bindparam("free", type_=Integer),
    bindparam("waits", type_=ARRAY(Interval)),
    bindparam("longest", type_=Integer),
    bindparam("forgotten", type_=Interval),
)
"""Nothing comes back where the key has to wait."""


@dataclass(frozen=True)
class Seat:
    """Where somebody signs in: network address, browser, and the session that browser had."""

    address: str
    program: str | None = None
    session_id: UUID | None = None


@dataclass(frozen=True)
class SecondFactorNeeded:
    """The first half of a sign-in. A password that is changed meanwhile makes it worthless."""

    account_id: UUID
    fingerprint: str
    first: str = "pwd"
    """What the first half was."""


async def admit_guess(session: Session, settings: AuthSettings, login: str, address: str) -> bool:
    """Count one guess against the account's name and the address; False when either has to wait.

    Last in its transaction, like `_take_back`.
    """
    by_account = await _count(session, account_key(login), WaitRule(settings.attempts_per_account))
    by_address = await _count(session, address_key(address), WaitRule(settings.attempts_per_address))
    return by_account and by_address


async def sign_in(
    session: Session,
    settings: AuthSettings,
    account_id: UUID,
    *,
    login: str,
    seat: Seat,
    checked_hash: str,
    new_hash: str | None,
) -> str | SecondFactorNeeded | None:
    """Begin a session for somebody whose password was right.

    Answers the cookie's secret, or that a code is needed as well, or None when the account was blocked or its
    password changed meanwhile.
    """
    account = await session.get(Account, account_id, with_for_update=True)
    if account is None or account.blocked or account.password_hash != checked_hash:
        return None
    if new_hash is not None:
        account.password_hash = new_hash
        record(session, REHASHED, account_id=account_id)
    await clear_guesses(session, login)
    return await begin_or_half(session, settings, account, seat, "pwd")


async def begin_or_half(
    session: Session, settings: AuthSettings, account: Account, seat: Seat, first: str
) -> str | SecondFactorNeeded:
    """Begin the session, unless a second factor has to be shown before."""
    second = select(TotpFactor.account_id).where(
        TotpFactor.account_id == account.id, TotpFactor.confirmed_at.is_not(None)
    )
    done: str | SecondFactorNeeded
    if await session.scalar(second) is not None:
        done = SecondFactorNeeded(account.id, _fingerprint(account), first)
    else:
        done = await begin_signed_in(session, settings, account, seat, (first,))
    await _take_back(session, address_key(seat.address))
    return done


async def admit_second_guess(
    session: Session, settings: AuthSettings, half: SecondFactorNeeded, address: str
) -> bool:
    """Count one code against the account and the address; False when either has to wait."""
    rule = WaitRule(SECOND_GUESSES)
    by_account = await _count(session, second_factor_key(half.account_id), rule)
    by_address = await _count(session, address_key(address), WaitRule(settings.attempts_per_address))
    return by_account and by_address


async def complete_sign_in(
    session: Session, settings: AuthSettings, half: SecondFactorNeeded, *, code: str, seat: Seat
) -> str | None:
    """Begin the session of somebody who showed the second factor as well; None when the code is wrong.

    It is None too when the account was blocked or its password changed since the first half.
    """
    account = await session.get(Account, half.account_id, with_for_update=True)
    if account is None or account.blocked or _fingerprint(account) != half.fingerprint:
        return None
    secret_key = settings.secret_key.get_secret_value()
    if not await check_second_factor(session, secret_key, half.account_id, code):
        return None
    await session.execute(delete(GuessCounter).where(GuessCounter.key == second_factor_key(half.account_id)))
    secret = await begin_signed_in(session, settings, account, seat, (half.first, "otp"))
    await _take_back(session, address_key(seat.address))
    return secret


async def admit_address(session: Session, settings: AuthSettings, address: str) -> bool:
    """Count one guess that names no account; False when the address has to wait."""
    return await _count(session, address_key(address), WaitRule(settings.attempts_per_address))


async def take_back_guess(session: Session, address: str) -> None:
    await _take_back(session, address_key(address))


async def clear_guesses(session: Session, login: str) -> None:
    """A right password wipes out the wrong ones before it."""
    await session.execute(delete(GuessCounter).where(GuessCounter.key == account_key(login)))


def note_failed_sign_in(session: Session, account_id: UUID | None, *, address: str, reason: str) -> None:
    """Keep why, for the admins; the person at the form is always told the same."""
    record(session, "sign_in_failed", account_id=account_id, address=address, details={"reason": reason})


async def admit_user_code(session: Session, account_id: UUID) -> bool:
    """Count one code of a device that somebody types; False when the person has to wait."""
    return await _count(session, device_key(account_id), WaitRule(USER_CODE_GUESSES))


async def admit_stranger(session: Session, settings: AuthSettings, address: str) -> bool:
    """Count one form of somebody who is nobody yet; False when the address has to wait."""
    return await _count(session, stranger_key(address), WaitRule(min(settings.attempts_per_address, 20)))


async def admit_letter(session: Session, settings: AuthSettings, name: str, address: str) -> bool:
    """Count one letter that a stranger has sent to an account; False when there were too many lately."""
    by_address = await admit_stranger(session, settings, address)
    return await _count(session, letter_key(name), WaitRule(LETTERS_AT_ONCE)) and by_address


async def note_bad_credential(session: Session, settings: AuthSettings, address: str) -> None:
    """Count a token or cookie that does not hold; nobody guesses one, but asking costs us something."""
    await _count(session, caller_key(address), WaitRule(settings.attempts_per_address))


async def forget_old_guesses(session: Session) -> None:
    horizon = datetime.now(UTC) - FORGOTTEN_AFTER
    await session.execute(
        delete(GuessCounter).where(GuessCounter.last_at < horizon, GuessCounter.waits_until < horizon)
    )


async def begin_signed_in(
    session: Session, settings: AuthSettings, account: Account, seat: Seat, methods: tuple[str, ...]
) -> str:
    """Begin the session of somebody whose proofs were checked; answers the cookie's secret."""
    begun = await begin_session(
        session,
        settings,
        account,
        methods=methods,
        address=seat.address,
        program=seat.program,
        instead_of=seat.session_id,
    )
    record(
        session,
        "signed_in",
        actor_id=account.id,
        account_id=account.id,
        address=seat.address,
        details={"methods": list(methods)},
    )
    return begun.secret


async def _take_back(session: Session, key: bytes) -> None:
    """An address may belong to many: only the one good guess is taken back.

    Last in its transaction: until the commit everybody else behind this address waits for the row.
    """
    await session.execute(
        update(GuessCounter)
        .where(GuessCounter.key == key)
        .values(failures=case((GuessCounter.failures > 0, GuessCounter.failures - 1), else_=0))
    )


def _fingerprint(account: Account) -> str:
    return digest(account.password_hash or "").hex()


async def _count(session: Session, key: bytes, rule: WaitRule) -> bool:
    waits = rule.waits
    counted = await session.scalar(
        COUNT,
        {
            "key": key,
            "first_wait": rule.wait_after(1),
            "free": rule.free,
            "waits": waits,
            "longest": len(waits),
            "forgotten": FORGOTTEN_AFTER,
        },
    )
    return counted is not None
