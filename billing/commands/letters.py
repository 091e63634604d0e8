"""Letters about payouts (A6), sent after the day is final: into a folder, or to a mail server.

Name, Message-ID, date and content follow from the payout. A letter handed over twice, because the process
ended before the commit, is the same file again; to a mail server it is the same letter, with one Message-ID.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

from babel.dates import format_date
from sqlalchemy import or_, select, update

from billing.domain import EntryKind
from billing.models import entries, letters, payouts, postings, titles
from billing.settings import BillingSettings
from service_kit.context import clock, settings
from service_kit.database import Session
from service_kit.letters import FinishedLetter, Post, retry_delay_s
from service_kit.money import format_cents
from service_kit.rows import any_of, given, these
from service_kit.text import LOCALES, gettext, in_locale
from service_kit.text import message as _

LETTER = SMTP.clone(cte_type="8bit", max_line_length=200)
KIND_NAMES = {
    EntryKind.FEE: _("Fee for the assignment"),
    EntryKind.REWARD: _("Reward for the work"),
}


@dataclass(frozen=True, slots=True)
class _Line:
    kind: EntryKind
    amount_cents: int
    title: str | None
    jira_id: str | None


@dataclass(frozen=True, slots=True)
class _Letter:
    payout_id: UUID
    account_id: UUID
    business_date: date
    amount_cents: int
    paid_at: datetime
    locale: str | None
    message_id: str
    attempts: int
    lines: Sequence[_Line]

    @property
    def path(self) -> str:
        return f"{self.business_date.isoformat()}/{self.account_id}.eml"

    @property
    def carried_cents(self) -> int:
        """What the day began with: the payout less what the day brought."""
        return self.amount_cents - sum(line.amount_cents for line in self.lines)


async def send_letters(session: Session, post: Post) -> int:
    """Hand over as many queued letters as may be in one transaction; answers how many were due.

    A letter that is not taken stays queued, and is tried again after a while that grows, for as long as it
    takes. Raises `PostUnavailable` when the post takes nothing now.
    """
    own = settings(session, BillingSettings)
    queued = await _queued(session, post.at_once)
    if not queued:
        return 0
    refused = await post.hand_over(await asyncio.to_thread(_finished, own, queued))
    rows = [
        {"payout_id": letter.payout_id, "path": letter.path}
        for letter in queued
        if letter.path not in refused
    ]
    done = given(letters, "payout_id", "path")
    await session.execute(
        update(letters)
        .where(letters.c.payout_id == done.c.payout_id)
        .values(state="written", path=done.c.path, written_at=clock(session).now()),
        these(rows),
    )
    for letter in queued:
        if letter.path in refused:
            await _put_off(session, letter)
    return len(queued)


async def _put_off(session: Session, letter: _Letter) -> None:
    attempts = letter.attempts + 1
    # By the system's clock: the business clock may jump over a night.
    due_at = datetime.now(UTC) + timedelta(seconds=retry_delay_s(attempts))
    await session.execute(
        update(letters)
        .where(letters.c.payout_id == letter.payout_id)
        .values(attempts=attempts, due_at=due_at)
    )


async def _queued(session: Session, limit: int) -> list[_Letter]:
    # Letters that another process has in hand are left to it.
    found = await session.execute(
        select(
            payouts.c.id,
            payouts.c.account_id,
            payouts.c.business_date,
            payouts.c.amount_cents,
            payouts.c.paid_at,
            letters.c.locale,
            letters.c.message_id,
            letters.c.attempts,
        )
        .join(payouts, payouts.c.id == letters.c.payout_id)
        .where(
            letters.c.state == "queued",
            or_(letters.c.due_at.is_(None), letters.c.due_at <= datetime.now(UTC)),
        )
        .order_by(payouts.c.business_date, payouts.c.id)
        .limit(limit)
        .with_for_update(of=letters, skip_locked=True)
    )
    rows = found.all()
    if not rows:
        return []
    lines = await _statements(session, [row.id for row in rows])
    return [
        _Letter(
            payout_id=row.id,
            account_id=row.account_id,
            business_date=row.business_date,
            amount_cents=row.amount_cents,
            paid_at=row.paid_at,
            locale=row.locale,
            message_id=row.message_id,
            attempts=row.attempts,
            lines=lines.get(row.id, []),
        )
        for row in rows
    ]


async def _statements(session: Session, payout_ids: Sequence[UUID]) -> Mapping[UUID, list[_Line]]:
    """The entries of the paid day that make up each payout, in the order they were posted."""
    found = await session.execute(
        select(payouts.c.id, entries.c.kind, postings.c.amount_cents, titles.c.title, titles.c.jira_id)
        .join(
            postings,
            (postings.c.account_id == payouts.c.account_id)
            & (postings.c.business_date == payouts.c.business_date),
        )
        .join(entries, entries.c.id == postings.c.entry_id)
        .outerjoin(titles, titles.c.task_id == entries.c.task_id)
        .where(payouts.c.id == any_of(payout_ids), entries.c.kind != EntryKind.PAYOUT)
        .order_by(payouts.c.id, postings.c.version)
    )
    lines: dict[UUID, list[_Line]] = {}
    for row in found:
        lines.setdefault(row.id, []).append(
            _Line(EntryKind(row.kind), row.amount_cents, row.title, row.jira_id)
        )
    return lines


def _finished(own: BillingSettings, queued: Sequence[_Letter]) -> list[FinishedLetter]:
    return [
        FinishedLetter(
            name=letter.path,
            sender=own.letters_sender,
            recipient=_recipient(own, letter),
            content=_compose(own, letter),
        )
        for letter in queued
    ]


def _recipient(own: BillingSettings, letter: _Letter) -> str:
    return f"{letter.account_id}@{own.letters_domain}"


def _compose(own: BillingSettings, letter: _Letter) -> bytes:
    # Who has chosen no language gets every language we have.
    languages = (letter.locale,) if letter.locale in LOCALES else tuple(reversed(LOCALES))
    subjects, texts = [], []
    for language in languages:
        with in_locale(language):
            subjects.append(_subject(letter, language))
            texts.append("\n".join(_text(letter, language)))
    mail = EmailMessage(policy=LETTER)
    mail["Message-ID"] = letter.message_id
    mail["Date"] = letter.paid_at
    mail["From"] = own.letters_sender
    mail["To"] = _recipient(own, letter)
    mail["Subject"] = " / ".join(subjects)
    mail["Auto-Submitted"] = "auto-generated"
    if letter.locale in LOCALES:
        mail["Content-Language"] = letter.locale
    mail.set_content("\n\n---\n\n".join(texts) + "\n", cte="8bit")
    return mail.as_bytes()


def _subject(letter: _Letter, language: str) -> str:
    day = format_date(letter.business_date, "long", locale=language)
    return gettext("Your pay for {day}: {amount}", day=day, amount=format_cents(letter.amount_cents))


def _text(letter: _Letter, language: str) -> Iterator[str]:
    day = format_date(letter.business_date, "long", locale=language)
    yield gettext("Hello!")
    yield ""
    yield gettext(
        "For {day} you are paid {amount}. Your account starts the next day at zero.",
        day=day,
        amount=format_cents(letter.amount_cents),
    )
    yield ""
    yield gettext("How it adds up:")
    if letter.carried_cents:
        yield _row(letter.carried_cents, gettext("Carried over from the day before"))
    for line in letter.lines:
        name = " ".join(part for part in (line.jira_id, line.title) if part)
        yield _row(line.amount_cents, f"{KIND_NAMES[line.kind].translated()}: {name}".removesuffix(": "))
    yield _row(letter.amount_cents, gettext("Paid out"), signed=False)


def _row(cents: int, text: str, *, signed: bool = True) -> str:
    return f"{format_cents(cents, signed=signed):>14}  {text}"
