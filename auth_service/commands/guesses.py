"""Guesses are counted before they are checked, so that parallel ones never get more tries than the limit."""

from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Integer,
    Interval,
    LargeBinary,
    Table,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
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
COUNT = text(
    """
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
).bindparams(
    bindparam("keys", type_=ARRAY(LargeBinary)),
    bindparam("free", type_=ARRAY(Integer)),
    bindparam("waits", WAITS, type_=ARRAY(Interval)),
    bindparam("forgotten", FORGOTTEN_AFTER, type_=Interval),
)
"""Only the keys that need not wait come back."""

_COUNTERS = cast("Table", GuessCounter.__table__)
_WIPED = (
    delete(_COUNTERS).where(_COUNTERS.c.key == bindparam("wiped")).returning(_COUNTERS.c.key).cte("wiped")
)

RIGHT = (
    update(_COUNTERS)
    .where(
        _COUNTERS.c.key == bindparam("address"),
        # In the order in which they are counted: two that wait for each other's rows would stop each other.
        select(func.count()).select_from(_WIPED).scalar_subquery().is_not(None),
    )
    .values(failures=func.greatest(_COUNTERS.c.failures - 1, 0))
)
"""Takes a guess back (see `right`)."""


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
    """The parameters of `RIGHT`, for those who write more in the same statement."""
    return {"wiped": wiped, "address": address_key(address)}


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
    keys, free = zip(*asked, strict=True)
    counted = await session.scalars(COUNT, {"keys": list(keys), "free": list(free)})
    return len(counted.all()) == len(asked)
