"""Letters about payouts: one each, the same bytes however often written or sent."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from billing import commands
from service_kit.ids import new_id
from service_kit.letters import MailServer, Post, hand_over_all, post_of
from service_kit.text import add_catalogues
from tests.billing.facts import NOON, assigned, close_all, completed, created, hear, next_night
from tests.support.mail import mail_server
from tests.support.services import Service

ANNA, BORIS, CLARA = (UUID(int=n) for n in (1, 2, 3))


def folder(billing: Service) -> Path:
    return billing.settings.letters_folder  # type: ignore[attr-defined, no-any-return]


def post(billing: Service) -> Post:
    return post_of(None, folder(billing))


def letter_to(billing: Service, owner: UUID) -> EmailMessage:
    path = folder(billing) / "2026-03-02" / f"{owner}.eml"
    found = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


async def send_all(billing: Service, post: Post) -> int:
    async def a_few() -> int:
        async with billing.transaction() as session:
            return await commands.send_letters(session, post)

    return await hand_over_all(post, a_few)


async def write_all(billing: Service) -> int:
    return await send_all(billing, post(billing))


@pytest.fixture(autouse=True)
async def paid(billing: Service) -> None:
    """Anna reads Russian, Boris English, Clara has not said; all three are paid for the second of March."""
    add_catalogues("billing")
    for owner, locale in ((ANNA, "ru"), (BORIS, "en"), (CLARA, None)):
        task, other = new_id(), new_id()
        async with billing.transaction() as session:
            await commands.open_account(session, owner)
            if locale:
                await commands.choose_language(session, owner, locale)
        await hear(billing, created(task, "Mend the roof"), assigned(task, owner), completed(task, owner))
        await hear(billing, created(other, "Sweep the yard"), assigned(other, owner), completed(other, owner))
    next_night(billing)
    assert await close_all(billing) == ["2026-03-02"]


class TestWriteLetters:
    async def test_it_works(self, billing: Service) -> None:
        """Each payout has its letter, addressed by id only, and the letter is marked as written."""
        assert await write_all(billing) == 3
        assert sorted(p.name for p in folder(billing).rglob("*") if p.is_file()) == sorted(
            f"{owner}.eml" for owner in (ANNA, BORIS, CLARA)
        )
        letter = letter_to(billing, BORIS)
        payout = await billing.scalar("select id from payouts where account_id = :id", id=BORIS)
        assert letter["To"] == f"{BORIS}@exchange.invalid"
        assert letter["Message-ID"] == f"<{payout}@exchange.invalid>"
        states = await billing.scalar("select array_agg(distinct state) from letters")
        assert states == ["written"]

    async def test_amount_day_and_statement(self, billing: Service) -> None:
        """The letter names sum and day, and the entries that make the sum."""
        await write_all(billing)
        amount = await billing.scalar("select amount_cents from payouts where account_id = :id", id=BORIS)
        letter = letter_to(billing, BORIS)
        words = letter.get_content()
        assert f"${amount / 100:,.2f}" in letter["Subject"]
        assert "March 2, 2026" in letter["Subject"]
        for part in ("Mend the roof", "Sweep the yard", "KEY-1", "Fee for the assignment", "Paid out"):
            assert part in words

    async def test_languages(self, billing: Service) -> None:
        """In the language the reader has chosen; who has chosen none gets both."""
        await write_all(billing)
        anna, boris, clara = (letter_to(billing, owner).get_content() for owner in (ANNA, BORIS, CLARA))
        assert "Здравствуйте" in anna
        assert "Hello" not in anna
        assert "Hello" in boris
        assert "Здравствуйте" not in boris
        assert "Здравствуйте" in clara
        assert "Hello" in clara

    async def test_killed_between_file_and_commit(self, billing: Service) -> None:
        """What was written and not marked is written again with the same bytes, and nothing beside it."""

        class Killed(Exception):
            pass

        with pytest.raises(Killed):
            async with billing.transaction() as session:
                await commands.send_letters(session, post(billing))
                raise Killed
        first = {path: path.read_bytes() for path in folder(billing).rglob("*.eml")}
        assert await billing.scalar("select count(*) from letters where state = 'queued'") == 3
        billing.clock.advance(NOON - NOON.replace(hour=8))
        await write_all(billing)
        assert {path: path.read_bytes() for path in folder(billing).rglob("*") if path.is_file()} == first

    async def test_written_once(self, billing: Service) -> None:
        """What is written is left alone."""
        await write_all(billing)
        for path in folder(billing).rglob("*.eml"):
            path.unlink()
        assert await write_all(billing) == 0
        assert not list(folder(billing).rglob("*.eml"))

    async def test_carried_debt_is_shown(self, billing: Service) -> None:
        """A debt that was carried into the day stands at the head of the statement."""
        owner, task, more = new_id(), new_id(), new_id()
        day = billing.clock.now()
        await hear(billing, created(task), assigned(task, owner, day), assigned(task, owner, day, cycle=2))
        next_night(billing)
        await close_all(billing)
        day = billing.clock.now()
        await hear(billing, completed(task, owner, day, cycle=2), completed(more, owner, day))
        next_night(billing)
        await close_all(billing)
        await write_all(billing)
        path = next(folder(billing).rglob(f"{owner}.eml"))
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        assert "Carried over from the day before" in letter.get_content()


class TestByMail:
    async def test_it_works(self, billing: Service) -> None:
        """Each payout's letter goes to the mail server; one that is refused stays queued, and goes later."""
        async with mail_server() as mailbox:
            server = MailServer(f"smtp://127.0.0.1:{mailbox.port}/?starttls=never")
            anna = f"{ANNA}@exchange.invalid"
            mailbox.refusals[anna] = "550 5.1.1 unknown"
            assert await send_all(billing, server) == 3
            assert {one["To"] for one in mailbox.letters} == {
                f"{who}@exchange.invalid" for who in (BORIS, CLARA)
            }
            assert mailbox.taken[0].mail_from == "payroll@exchange.invalid"
            assert await send_all(billing, server) == 0, "it waits"
            assert await billing.scalar("select count(*) from letters where state = 'queued'") == 1
            mailbox.refusals.clear()
            async with billing.transaction() as session:
                await session.execute(text("update letters set due_at = now()"))
            assert await send_all(billing, server) == 1
            assert "Здравствуйте" in mailbox.letters[-1].get_content()
            await server.rest()
        assert await billing.scalar("select array_agg(distinct state) from letters") == ["written"]
        assert not list(folder(billing).rglob("*"))

    async def test_killed_after_the_server_had_it(self, billing: Service) -> None:
        """One letter, and no more than one, comes again: the same, by which a reader's program knows it."""

        class Killed(Exception):
            pass

        async with mail_server() as mailbox:
            server = MailServer(f"smtp://127.0.0.1:{mailbox.port}/?starttls=never")
            with pytest.raises(Killed):
                async with billing.transaction() as session:
                    await commands.send_letters(session, server)
                    raise Killed
            assert await send_all(billing, server) == 3
            await server.rest()
        ids = [one["Message-ID"] for one in mailbox.letters]
        assert (len(ids), len(set(ids))) == (4, 3)
        assert mailbox.taken[0].content == mailbox.taken[1].content
