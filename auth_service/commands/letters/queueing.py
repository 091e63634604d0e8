"""A letter is asked for. What it needs to know is personal, so it is sealed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import orjson

from auth_service.domain.keys import seal, unseal
from auth_service.models import Letter
from auth_service.settings import AuthSettings
from service_kit.context import settings
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.text import locale_in_use

LETTERS_CHANNEL = "auth_letters"

Kind = Literal[
    "reset", "invite", "approved", "declined", "applied", "password_changed", "passkey_added", "code"
]


async def queue_letter(
    session: Session, kind: Kind, said: Mapping[str, str], *, locale: str | None = None
) -> None:
    """Have a letter sent soon; `said` is what it needs to know, for instance `{"account": guid}`.

    It speaks the language its reader has chosen, else `locale`, else that of the present page.
    """
    letter_id = new_id()
    secret_key = settings(session, AuthSettings).secret_key.get_secret_value()
    session.add(
        Letter(
            id=letter_id,
            kind=kind,
            sealed=seal(secret_key, _place(letter_id), orjson.dumps(dict(said))),
            locale=locale or locale_in_use(),
            created_at=datetime.now(UTC),
            attempts=0,
        )
    )
    await session.flush()
    notify_after_commit(session, LETTERS_CHANNEL)


def said_to(secret_key: str, letter: Letter) -> dict[str, str]:
    """What the letter was told when it was queued."""
    said: dict[str, str] = orjson.loads(unseal(secret_key, _place(letter.id), letter.sealed))
    return said


def _place(letter_id: UUID) -> str:
    return f"letter {letter_id}"
