"""A queued letter is finished: whose it is, its link, its words, in its reader's language."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import quote
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from auth_service.commands.audit import record
from auth_service.commands.letters import texts
from auth_service.commands.letters.queueing import said_to
from auth_service.commands.letters.texts import Text
from auth_service.commands.links import make_link
from auth_service.domain.keys import seal, unseal
from auth_service.domain.links import Purpose
from auth_service.domain.mail_codes import LIFE as CODE_LIFE
from auth_service.domain.mail_codes import mail_code
from auth_service.models import Account, Application, Letter, MailCode
from auth_service.settings import AuthSettings
from service_kit.context import settings
from service_kit.database import Session
from service_kit.letters import FinishedLetter
from service_kit.text import in_locale

BATCH = 100

OF_USE = {"code": CODE_LIFE, "reset": timedelta(days=1)}
OF_USE_USUALLY = timedelta(days=7)
"""How long it is worth trying to hand a letter over. Nobody sits before the letter box any more by then."""

FRESH = {"reset": timedelta(minutes=10)}
FRESH_USUALLY = timedelta(days=2)
"""A letter that is older is finished anew before it leaves: its link lives for its reader, not for us."""


async def finish_letters(session: Session) -> None:
    """Finish what is queued, and anew what has waited for long; give up what is of no use any more.

    Letters that another worker has in hand are left to it.
    """
    own = settings(session, AuthSettings)
    queued = await session.scalars(
        select(Letter).where(_unfinished()).order_by(Letter.id).limit(BATCH).with_for_update(skip_locked=True)
    )
    now = datetime.now(UTC)
    for letter in queued.all():
        said = said_to(own.secret_key.get_secret_value(), letter)
        if now - letter.created_at > OF_USE.get(letter.kind, OF_USE_USUALLY):
            _give_up(session, letter, said)
            text = None
        else:
            text = await _text(session, own, letter, said)
        if text is None:
            await session.execute(delete(Letter).where(Letter.id == letter.id))
            continue
        letter.finished = _sealed(own, letter.id, text.to, _compose(own, letter, text))
        letter.finished_at = now
    await session.flush()


def finished_letter(own: AuthSettings, letter: Letter) -> FinishedLetter:
    """Read what `finish_letters` has kept."""
    if letter.finished is None:
        raise ValueError(f"letter {letter.id} is not finished")
    kept = orjson.loads(unseal(own.secret_key.get_secret_value(), _place(letter.id), letter.finished))
    name = f"{letter.created_at.date().isoformat()}/{letter.id}.eml"
    return FinishedLetter(name, own.letters_from, kept["to"], kept["content"].encode())


def _unfinished() -> ColumnElement[bool]:
    now = datetime.now(UTC)
    usually = Letter.finished_at < now - FRESH_USUALLY
    sooner = [
        and_(Letter.kind == kind, Letter.finished_at < now - life) for kind, life in (OF_USE | FRESH).items()
    ]
    return or_(Letter.finished_at.is_(None), usually, *sooner)


def _give_up(session: Session, letter: Letter, said: Mapping[str, str]) -> None:
    account_id = UUID(said["account"]) if "account" in said else None
    details = {"kind": letter.kind, "attempts": letter.attempts}
    record(session, "letter_given_up", account_id=account_id, details=details)


def _sealed(own: AuthSettings, letter_id: UUID, to: str, content: bytes) -> bytes:
    kept = orjson.dumps({"to": to, "content": content.decode()})
    return seal(own.secret_key.get_secret_value(), _place(letter_id), kept)


def _place(letter_id: UUID) -> str:
    return f"finished letter {letter_id}"


async def _text(session: Session, own: AuthSettings, letter: Letter, said: Mapping[str, str]) -> Text | None:
    """What to write, or nothing when nobody is to hear anything."""
    if letter.kind == "applied":
        return await _answer_application(session, own, letter, said)
    if letter.kind == "declined":
        with in_locale(letter.locale):
            return texts.declined(said)
    account = await _addressee(session, said)
    if account is None or account.email is None or account.blocked:
        return None
    with in_locale(account.locale or letter.locale):
        return await _to_account(session, own, letter.kind, account, said)


async def _to_account(
    session: Session, own: AuthSettings, kind: str, account: Account, said: Mapping[str, str]
) -> Text:
    if kind == "password_changed":
        return texts.password_changed(own.issuer, account)
    if kind == "passkey_added":
        return texts.passkey_added(own.issuer, account)
    if kind == "code":
        code_id = UUID(said["code"])
        await session.execute(update(MailCode).where(MailCode.id == code_id).values(account_id=account.id))
        return texts.with_code(account, mail_code(own.secret_key.get_secret_value(), code_id))
    purpose: Purpose = "reset" if kind == "reset" else "invite"
    token = await make_link(session, account.id, purpose)
    record(session, "letter_written", account_id=account.id, details={"kind": kind})
    return texts.with_link(kind, account, f"{own.issuer}/new-password?link={quote(token)}")


async def _addressee(session: Session, said: Mapping[str, str]) -> Account | None:
    if "account" in said:
        return await session.get(Account, UUID(said["account"]))
    named = said["name"]
    found: Account | None = await session.scalar(
        select(Account).where(or_(Account.login == named, Account.email == named)).order_by(Account.login)
    )
    return found


async def _answer_application(
    session: Session, own: AuthSettings, letter: Letter, said: Mapping[str, str]
) -> Text:
    """Confirm it to the address; whoever has an account already is told so instead of waiting for one."""
    known = await session.scalar(select(Account).where(Account.email == said["email"]))
    if known is None:
        with in_locale(letter.locale):
            return texts.received(said)
    await session.execute(
        update(Application)
        .where(Application.email == said["email"], Application.decided_at.is_(None))
        .values(decided_at=datetime.now(UTC), reason="has an account")
    )
    with in_locale(known.locale or letter.locale):
        return texts.known_already(own.issuer, known)


def _compose(own: AuthSettings, letter: Letter, text: Text) -> bytes:
    local, _at, domain = text.to.rpartition("@")
    sender = own.letters_from.rpartition("@")
    # Long lines stay whole: a link that is broken in two leads nowhere.
    policy = SMTP.clone(cte_type="8bit", max_line_length=998, utf8=not text.to.isascii())
    mail = EmailMessage(policy=policy)
    mail["Message-ID"] = f"<{letter.id}@{sender[2]}>"
    mail["Date"] = letter.created_at
    mail["From"] = Address(username=sender[0], domain=sender[2])
    mail["To"] = Address(username=local, domain=domain)
    mail["Subject"] = text.subject
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n\n".join(text.paragraphs) + "\n", cte="8bit")
    return mail.as_bytes()
