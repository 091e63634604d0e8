"""Guesses are counted before they are checked, so that parallel ones never get more tries than the limit."""

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Interval,
    LargeBinary,
    Text,
    bindparam,
    delete,
    text,
)

from auth_service.domain.guesses import (
    FORGOTTEN_AFTER,
    WAITS,
    account_key,
    address_key,
    caller_key,
    device_key,
    letter_key,
    second_factor_key,
    stranger_key,
)
from auth_service.models import GuessCounter
from auth_service.settings import AuthSettings
from service_kit.database import Session

SECOND_GUESSES = 5
"""Of a million codes three are right at a time: five tries before the first wait."""

USER_CODE_GUESSES = 20
STRANGER_GUESSES_MAX = 20
LETTERS_AT_ONCE = 3
"""Letters about one account within an hour before the next one has to wait."""


# One statement: two that guess at the same time wait for each other inside of it, and the second one sees
# what the first one wrote. The clock is read there too: a time taken before the wait could lie before that.
_COUNT = """
    insert into guess_counters as counter (key, failures, last_at, waits_until)
    select key, 1, clock_timestamp(), clock_timestamp() + (:waits)[
        least(greatest(1 - free, -1) + 2, cardinality(:waits))
    ]
    from unnest(:keys, :free) as asked (key, free)
    on conflict (key) do update set (failures, last_at, waits_until) = (
        select present.failures, moment, moment + (:waits)[
            least(
                greatest(present.failures - (:free)[array_position(:keys, counter.key)], -1) + 2,
                cardinality(:waits)
            )
        ]
        from (
            select moment, case when counter.last_at < moment - :forgotten then 1
                else counter.failures + 1 end as failures
            from (select clock_timestamp() as moment) as now
        ) as present
    )
    where counter.waits_until <= clock_timestamp()
    returning key
"""
"""Only the keys that need not wait come back."""

_COUNTED = (
    bindparam("keys", type_=ARRAY(LargeBinary)),
    bindparam("free", type_=ARRAY(Integer)),
    bindparam("waits", WAITS, type_=ARRAY(Interval)),
    bindparam("forgotten", FORGOTTEN_AFTER, type_=Interval),
)
COUNT = text(_COUNT).bindparams(*_COUNTED)

COUNT_AND_READ = text(
    f"""
    with counted as ({_COUNT})
    select (select count(*) from counted) as counted, owner.id, owner.password_hash, owner.blocked
    from (select) as one left join accounts as owner on owner.login = :login
    """  # noqa: S608  a statement of our own
).bindparams(*_COUNTED, bindparam("login", type_=Text))

TAKEN_BACK = """
    wiped as (delete from guess_counters where key = :wiped and {when} returning key),
    taken_back as (
        update guess_counters set failures = greatest(failures - 1, 0)
        -- In the order in which they are counted: two that wait for each other's rows would stop each other.
        where key = :address_key and {when} and (select count(*) from wiped) is not null
    )
"""
"""Parts of a statement that take a guess back (see `right`)."""

RIGHT_GUESS = (bindparam("wiped", type_=LargeBinary), bindparam("address_key", type_=LargeBinary))
RIGHT = text(f"with {TAKEN_BACK.format(when='true')} select 1").bindparams(*RIGHT_GUESS)


class Asked(NamedTuple):
    """A guess at a password: whether it may be checked, and what it is checked against, if anything."""

    admitted: bool
    account_id: UUID | None
    password_hash: str | None
    blocked: bool | None


async def ask_to_sign_in(session: Session, settings: AuthSettings, login: str, address: str) -> Asked:
    """Count one guess against the account's name and the address, and read what it is checked against."""
    asked = _asked((account_key(login), settings.attempts_per_account), _by_address(settings, address))
    found = (await session.execute(COUNT_AND_READ, asked | {"login": login})).one()
    return Asked(found.counted == len(asked["keys"]), found.id, found.password_hash, found.blocked)


async def admit_guess(session: Session, settings: AuthSettings, login: str, address: str) -> bool:
    """Count one guess against the account's name and the address; False when either has to wait."""
    by_account = account_key(login), settings.attempts_per_account
    return await _count(session, by_account, _by_address(settings, address))


async def admit_second_guess(
    session: Session, settings: AuthSettings, account_id: UUID, address: str
) -> bool:
    """Count one code against the account and the address; False when either has to wait."""
    by_account = second_factor_key(account_id), SECOND_GUESSES
    return await _count(session, by_account, _by_address(settings, address))


async def admit_address(session: Session, settings: AuthSettings, address: str) -> bool:
    """Count one guess that names no account; False when the address has to wait."""
    return await _count(session, _by_address(settings, address))


async def admit_user_code(session: Session, account_id: UUID) -> bool:
    """Count one code of a device that somebody types; False when the person has to wait."""
    return await _count(session, (device_key(account_id), USER_CODE_GUESSES))


async def admit_stranger(session: Session, settings: AuthSettings, address: str) -> bool:
    """Count one form of somebody who is nobody yet; False when the address has to wait."""
    return await _count(session, _by_stranger(settings, address))


async def admit_letter(session: Session, settings: AuthSettings, name: str, address: str) -> bool:
    """Count one letter that a stranger has sent to an account; False when there were too many lately."""
    return await _count(session, _by_stranger(settings, address), (letter_key(name), LETTERS_AT_ONCE))


async def note_bad_credential(session: Session, settings: AuthSettings, address: str) -> None:
    """Count a token or cookie that does not hold; nobody guesses one, but asking costs us something."""
    await _count(session, (caller_key(address), settings.attempts_per_address))


async def guessed_right(session: Session, address: str, *, wiped: bytes | None = None) -> None:
    """Take the guess back: whatever was counted under the key `wiped`, and of the address this one alone.

    An address may belong to many. Last in its transaction: until the commit all of them wait for its row.
    """
    await session.execute(RIGHT, right(address, wiped))


def right(address: str, wiped: bytes | None) -> dict[str, bytes | None]:
    """The parameters of `TAKEN_BACK`, for those who write more in the same statement."""
    return {"wiped": wiped, "address_key": address_key(address)}


async def clear_guesses(session: Session, login: str) -> None:
    """A right password, or a new one, wipes out the wrong ones before it."""
    await session.execute(delete(GuessCounter).where(GuessCounter.key == account_key(login)))


async def forget_old_guesses(session: Session) -> None:
    horizon = datetime.now(UTC) - FORGOTTEN_AFTER
    await session.execute(
        delete(GuessCounter).where(GuessCounter.last_at < horizon, GuessCounter.waits_until < horizon)
    )


def _by_address(settings: AuthSettings, address: str) -> tuple[bytes, int]:
    return address_key(address), settings.attempts_per_address


def _by_stranger(settings: AuthSettings, address: str) -> tuple[bytes, int]:
    return stranger_key(address), min(settings.attempts_per_address, STRANGER_GUESSES_MAX)


async def _count(session: Session, *asked: tuple[bytes, int]) -> bool:
    """Count one failure under each key, of which so many are free; False when any of them has to wait."""
    counted = await session.scalars(COUNT, _asked(*asked))
    return len(counted.all()) == len(asked)


def _asked(*asked: tuple[bytes, int]) -> dict[str, Any]:
    keys, free = zip(*asked, strict=True)
    return {"keys": list(keys), "free": list(free)}
