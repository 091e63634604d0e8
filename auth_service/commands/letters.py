"""Letters to people: asked for by a page, written by the worker as files that a mail system picks up.

A page only notes that somebody asked. Whether there is such an account, and the link, come about when the
letter is written: the answer of the page takes as long for strangers as for people we know, and no link
lies in the database.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Literal
from urllib.parse import quote
from uuid import UUID

import orjson
from sqlalchemy import delete, or_, select, update

from auth_service.commands.audit import record
from auth_service.commands.links import make_link
from auth_service.domain.keys import seal, unseal
from auth_service.domain.links import LIFE, Purpose
from auth_service.domain.mail_codes import mail_code
from auth_service.models import Account, Application, Letter, MailCode
from auth_service.settings import AuthSettings
from service_kit.context import settings
from service_kit.database import Session, notify_after_commit
from service_kit.ids import new_id
from service_kit.text import gettext, in_locale, locale_in_use

LETTERS_CHANNEL = "auth_letters"
BATCH = 100
FILE_MODE = 0o640
"""A letter holds a link: for us and the group of the mail system."""

Kind = Literal[
    "reset", "invite", "approved", "declined", "applied", "password_changed", "passkey_added", "code"
]


@dataclass(frozen=True)
class _Text:
    """What stands in a letter, in its reader's language."""

    to: str
    subject: str
    paragraphs: list[str]


async def queue_letter(
    session: Session, kind: Kind, said: Mapping[str, str], *, locale: str | None = None
) -> None:
    """Have a letter written soon; `said` is what it needs to know, for instance `{"account": guid}`.

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
        )
    )
    await session.flush()
    notify_after_commit(session, LETTERS_CHANNEL)


async def write_letters(session: Session) -> int:
    """Write what is queued; answers how many letters there are now.

    A letter that was written and not committed is written again under its name, with a new link in it.
    """
    own = settings(session, AuthSettings)
    # Letters that another worker is writing are left to it.
    queued = (
        await session.scalars(
            select(Letter).order_by(Letter.id).limit(BATCH).with_for_update(skip_locked=True)
        )
    ).all()
    written = 0
    for letter in queued:
        said = orjson.loads(unseal(own.secret_key.get_secret_value(), _place(letter.id), letter.sealed))
        text = await _text(session, own, letter, said)
        if text is not None:
            await asyncio.to_thread(_write, own, letter, text)
            written += 1
    await session.execute(delete(Letter).where(Letter.id.in_([letter.id for letter in queued])))
    return written


async def _text(session: Session, own: AuthSettings, letter: Letter, said: Mapping[str, str]) -> _Text | None:
    """What to write, or nothing when nobody is to hear anything."""
    if letter.kind == "applied":
        return await _answer_application(session, own, letter, said)
    if letter.kind == "declined":
        with in_locale(letter.locale):
            return _declined(said)
    account = await _addressee(session, said)
    if account is None or account.email is None or account.blocked:
        return None
    with in_locale(account.locale or letter.locale):
        return await _to_account(session, own, letter.kind, account, said)


async def _to_account(
    session: Session, own: AuthSettings, kind: str, account: Account, said: Mapping[str, str]
) -> _Text:
    if kind == "password_changed":
        return _password_changed(own, account)
    if kind == "passkey_added":
        return _passkey_added(own, account)
    if kind == "code":
        code_id = UUID(said["code"])
        await session.execute(update(MailCode).where(MailCode.id == code_id).values(account_id=account.id))
        return _with_code(account, mail_code(own.secret_key.get_secret_value(), code_id))
    purpose: Purpose = "reset" if kind == "reset" else "invite"
    token = await make_link(session, account.id, purpose)
    record(session, "letter_written", account_id=account.id, details={"kind": kind})
    return _with_link(kind, account, f"{own.issuer}/new-password?link={quote(token)}")


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
) -> _Text:
    """Confirm it to the address; whoever has an account already is told so instead of waiting for one."""
    known = await session.scalar(select(Account).where(Account.email == said["email"]))
    if known is None:
        with in_locale(letter.locale):
            return _received(said)
    await session.execute(
        update(Application)
        .where(Application.email == said["email"], Application.decided_at.is_(None))
        .values(decided_at=datetime.now(UTC), reason="has an account")
    )
    with in_locale(known.locale or letter.locale):
        return _known_already(own, known)


def _with_link(kind: str, account: Account, address: str) -> _Text:
    hello = gettext("Hello, {name}!", name=account.name)
    if kind == "reset":
        minutes = int(LIFE["reset"].total_seconds() // 60)
        return _Text(
            account.email or "",
            gettext("A new password for the task exchange"),
            [
                hello,
                gettext(
                    "Somebody asked for a new password for your login {login}. If it was you, choose one here"
                    " within {minutes} minutes:",
                    login=account.login,
                    minutes=minutes,
                ),
                address,
                gettext("If it was not you, do nothing: your password stays as it is."),
            ],
        )
    if kind == "approved":
        subject = gettext("Your request for an account is approved")
        first = gettext("Welcome to the task exchange. Your login is {login}.", login=account.login)
    else:
        subject = gettext("Your account on the task exchange")
        first = gettext("An account was made for you. Your login is {login}.", login=account.login)
    days = LIFE["invite"].days
    choose = gettext("Choose your password here within {days} days:", days=days)
    return _Text(account.email or "", subject, [hello, first, choose, address])


def _with_code(account: Account, code: str) -> _Text:
    return _Text(
        account.email or "",
        gettext("Your code for the task exchange"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("Type this code on the page where you asked for it, within ten minutes:"),
            f"{code[:4]} {code[4:]}",
            gettext("Nobody from the exchange ever asks you for it. If you did not ask, do nothing."),
        ],
    )


def _password_changed(own: AuthSettings, account: Account) -> _Text:
    return _Text(
        account.email or "",
        gettext("Your password was changed"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("The password of your login {login} was just changed.", login=account.login),
            gettext("If it was not you, ask for a new one at once, and tell an administrator:"),
            f"{own.issuer}/forgotten",
        ],
    )


def _passkey_added(own: AuthSettings, account: Account) -> _Text:
    return _Text(
        account.email or "",
        gettext("A passkey was added to your account"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("From now on a new passkey signs in with your login {login}.", login=account.login),
            gettext("If it was not you, remove it here, change your password, and tell an administrator:"),
            f"{own.issuer}/security",
        ],
    )


def _declined(said: Mapping[str, str]) -> _Text:
    paragraphs = [
        gettext("Hello, {name}!", name=said["name"]),
        gettext("Your request for an account on the task exchange was declined."),
    ]
    if said.get("reason"):
        paragraphs += [gettext("The reason:"), said["reason"]]
    return _Text(said["email"], gettext("Your request for an account was declined"), paragraphs)


def _received(said: Mapping[str, str]) -> _Text:
    return _Text(
        said["email"],
        gettext("We have your request for an account"),
        [
            gettext("Hello, {name}!", name=said["name"]),
            gettext(
                "An administrator of the task exchange looks at your request. You get a letter either way."
            ),
            gettext("If you did not ask for an account, do nothing: this address is forgotten again."),
        ],
    )


def _known_already(own: AuthSettings, account: Account) -> _Text:
    return _Text(
        account.email or "",
        gettext("You have an account already"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext(
                "Somebody asked for an account with your address. You have one: your login is {login}.",
                login=account.login,
            ),
            gettext("Should you have forgotten the password, choose a new one here:"),
            f"{own.issuer}/forgotten",
        ],
    )


def _write(own: AuthSettings, letter: Letter, text: _Text) -> None:
    """Write the letter beside its place, then move it there: nobody reads half a letter."""
    target = own.letters_folder / letter.created_at.date().isoformat() / f"{letter.id}.eml"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}.draft")
    _write_file(draft, _compose(own, letter, text))
    draft.replace(target)


def _write_file(path: Path, content: bytes) -> None:
    # Never, not for a moment, with the rights that new files usually have.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _compose(own: AuthSettings, letter: Letter, text: _Text) -> bytes:
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


def _place(letter_id: UUID) -> str:
    return f"letter {letter_id}"
