"""Letters to people where a mail server takes them: none is lost, one case brings one twice."""

import asyncio

import pytest

from auth_service.commands.letters import hand_over_letters
from service_kit.letters import MailServer, hand_over_all
from tests.auth_service.exchange import Auth
from tests.auth_service.test_letters import choose, finish, folder, followed, forgot, with_mail
from tests.support.mail import plain_server


async def mail(auth: Auth, post: MailServer) -> int:
    """One round of the worker; a letter that waits for its next try is due now."""
    await auth.execute("update letters set due_at = now() where due_at is not null")
    await finish(auth)

    async def a_few() -> int:
        async with auth.service.transaction() as session:
            return await hand_over_letters(session, post)

    return await hand_over_all(post, a_few)


class TestByMail:
    async def test_it_works(self, own_auth: Auth) -> None:
        """The server gets the letter, whose link holds; nothing is written and nothing is left."""
        person, address = await with_mail(own_auth)
        await forgot(own_auth, person.login)
        async with plain_server() as (mailbox, post):
            assert await mail(own_auth, post) == 1
            assert await mail(own_auth, post) == 0
        assert mailbox.taken[0].rcpt_tos == [address]
        assert mailbox.taken[0].mail_from == own_auth.settings.letters_from
        (letter,) = mailbox.letters
        assert (await choose(await followed(own_auth, letter.get_content()))).status_code == 303
        assert not list(folder(own_auth).glob("*/*.eml"))

    async def test_refused_for_a_while(self, own_auth: Auth) -> None:
        """A letter box that is closed gets its letter later, under the same name; others do not wait."""
        first, address = await with_mail(own_auth)
        second, _address = await with_mail(own_auth)
        await forgot(own_auth, first.login)
        await forgot(own_auth, second.login)
        async with plain_server() as (mailbox, post):
            mailbox.refusals[address] = "450 4.2.0 try later"
            assert await mail(own_auth, post) == 2
            assert len(mailbox.letters) == 1
            assert await own_auth.value("select count(*) from letters where due_at > now()") == 1
            await mail(own_auth, post)
            assert await own_auth.value("select attempts from letters") == 2
            mailbox.refusals.clear()
            assert await mail(own_auth, post) == 1
            assert await own_auth.value("select count(*) from letters") == 0
        letter = mailbox.letters[-1].get_content()
        assert (await choose(await followed(own_auth, letter))).status_code == 303

    async def test_killed_after_the_server_had_it(self, own_auth: Auth) -> None:
        """The one case in which a letter comes twice: then it is the same letter, and either link holds."""
        person, _address = await with_mail(own_auth)
        await forgot(own_auth, person.login)

        class Killed(Exception):
            """The process ends here."""

        await finish(own_auth)
        async with plain_server() as (mailbox, post):
            with pytest.raises(Killed):
                async with own_auth.service.transaction() as session:
                    await hand_over_letters(session, post)
                    raise Killed
            assert await mail(own_auth, post) == 1
        first, second = mailbox.taken
        assert first.content == second.content
        assert (await choose(await followed(own_auth, mailbox.letters[0].get_content()))).status_code == 303

    async def test_two_workers(self, own_auth: Auth) -> None:
        """What one has in hand the other leaves alone: each letter goes once."""
        people = [await with_mail(own_auth) for _ in range(6)]
        for person, _address in people:
            await forgot(own_auth, person.login)
        await finish(own_auth)
        async with plain_server() as (mailbox, post):
            another = MailServer(f"smtp://127.0.0.1:{mailbox.port}/?starttls=never")
            assert sum(await asyncio.gather(mail(own_auth, post), mail(own_auth, another))) == 6
            assert sorted(one.rcpt_tos[0] for one in mailbox.taken) == sorted(to for _person, to in people)

    async def test_after_a_long_wait(self, own_auth: Auth) -> None:
        """A link that lay about is made anew before it leaves; a code that is over is sent to nobody."""
        person, _address = await with_mail(own_auth)
        await forgot(own_auth, person.login)
        await own_auth.browser().http.post("/sign-in/letter", data={"name": person.login})
        await finish(own_auth)
        earlier = "created_at = created_at - interval '1 hour', finished_at = finished_at - interval '1 hour'"
        await own_auth.execute(f"update letters set {earlier}")  # noqa: S608
        await own_auth.execute("update password_links set expires_at = expires_at - interval '1 hour'")
        async with plain_server() as (mailbox, post):
            await mail(own_auth, post)
        (letter,) = mailbox.letters
        assert (await choose(await followed(own_auth, letter.get_content()))).status_code == 303
        given_up = "select details ->> 'kind' from audit_log where act = 'letter_given_up'"
        assert await own_auth.value(given_up) == "code"
