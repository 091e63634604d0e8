"""Letters reach a real mail server, or wait for it: never lost, never readable on the way."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from service_kit.letters import FinishedLetter, MailServer, PostUnavailable, hand_over_all, retry_delay_s
from tests.support.mail import PASSWORD, certificate, mail_server, plain_server
from tests.support.running import eventually

LOGIN = f"post:{quote(PASSWORD, safe='')}@"
TEXT = "Здравствуйте!\n\nhttps://exchange.test/auth/new-password?link=" + "x" * 300 + "\n"


def letter(number: int = 1, to: str | None = None) -> FinishedLetter:
    recipient = to or f"reader-{number}@example.org"
    head = (
        f"Message-ID: <{number}@exchange.test>\r\nFrom: accounts@exchange.test\r\nTo: {recipient}\r\n"
        "Subject: =?utf-8?b?0J/QuNGB0YzQvNC+?=\r\nMIME-Version: 1.0\r\n"
        'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    )
    content = (head + TEXT.replace("\n", "\r\n")).encode()
    return FinishedLetter(f"2026-03-02/{number}.eml", "accounts@exchange.test", recipient, content)


class StopWatch:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class TestMailServer:
    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    async def test_it_works(self, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Encrypted by STARTTLS or from the first byte; the letter arrives as it was written."""
        tls, known = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        at_once = scheme == "smtps"
        # The server counts only STARTTLS as encryption, so the other way goes without a password here.
        async with mail_server(tls=tls, at_once=at_once, password=not at_once) as mailbox:
            login = "" if at_once else LOGIN
            post = MailServer(f"{scheme}://{login}localhost:{mailbox.port}")
            assert await post.hand_over([letter(1), letter(2)]) == {}
            await post.rest()
        (first, second) = mailbox.letters
        assert (first["Message-ID"], second["Message-ID"]) == ("<1@exchange.test>", "<2@exchange.test>")
        assert first["Subject"] == "Письмо"
        assert first.get_content().splitlines() == TEXT.splitlines()
        assert mailbox.taken[0].mail_from == "accounts@exchange.test"
        assert mailbox.taken[0].rcpt_tos == ["reader-1@example.org"]
        assert isinstance(mailbox.taken[0].content, bytes)
        assert mailbox.taken[0].content.isascii(), "every server can pass it on"
        assert mailbox.connections == 1

    async def test_nothing_crosses_the_network_readable(self, tmp_path: Path) -> None:
        """A server without STARTTLS, or with a certificate that nobody vouches for, gets neither."""
        tls, _unknown = certificate(tmp_path)
        for context in (None, tls):
            async with mail_server(tls=context) as mailbox:
                post = MailServer(f"smtp://localhost:{mailbox.port}")
                with pytest.raises(PostUnavailable):
                    await post.hand_over([letter()])
            assert mailbox.taken == []

    async def test_wrong_password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """All letters wait, and the log has the server's numbers and no secret."""
        tls, known = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        async with mail_server(tls=tls, password=True) as mailbox:
            post = MailServer(f"smtp://post:not-the-word@localhost:{mailbox.port}")
            with capture_logs() as logs, pytest.raises(PostUnavailable, match=r"535 5\.7\.8"):
                await post.hand_over([letter()])
        assert "not-the-word" not in str(logs)
        assert mailbox.taken == []

    @pytest.mark.parametrize(
        "url",
        [
            "smtp://post:secret-word@mail/?starttls=never",
            "http://mail:25",
            "smtp://",
            "smtp://mail:x",
            "smtp://mail/?tls=1",
            "mail:25",
        ],
    )
    def test_addresses_of_no_use(self, url: str) -> None:
        """Said at the start, without the password; one is never sent unencrypted."""
        with pytest.raises(ValueError, match=r".") as refused:
            MailServer(url)
        assert "secret-word" not in str(refused.value)

    async def test_one_letter_is_refused(self) -> None:
        """The others pass over the same connection; the reason has no address in it."""
        async with plain_server() as (mailbox, post):
            mailbox.refusals["reader-1@example.org"] = "550 5.1.1 <reader-1@example.org> unknown"
            refused = await post.hand_over([letter(1), letter(2)])
            assert refused == {"2026-03-02/1.eml": "550 5.1.1"}
            assert [one["Message-ID"] for one in mailbox.letters] == ["<2@exchange.test>"]
            assert mailbox.connections == 1

    async def test_a_server_that_is_away(self) -> None:
        """It is left alone for five seconds, then ten, and asked again; then everything goes on."""
        watch = StopWatch()
        async with mail_server() as mailbox:
            url = f"smtp://127.0.0.1:{mailbox.port}/?starttls=never"
            post = MailServer(url, stop_watch=watch)
            mailbox.refusals["reader-1@example.org"] = "421 4.3.2 closing"
            for pause_s in (5, 10):
                seen = mailbox.connections
                with pytest.raises(PostUnavailable, match=r"421 4\.3\.2"):
                    await post.hand_over([letter()])
                watch.now_s += pause_s - 0.1
                with pytest.raises(PostUnavailable):
                    await post.hand_over([letter()])
                assert mailbox.connections == seen + 1
                watch.now_s += 0.2
            mailbox.refusals.clear()
            assert await post.hand_over([letter()]) == {}
            await post.rest()
        watch.now_s += 1000
        with pytest.raises(PostUnavailable, match="ConnectionRefusedError"):
            await post.hand_over([letter()])

    async def test_connection_lost(self) -> None:
        """Nobody knows what became of that letter: it waits, and the next one has a new connection."""
        async with plain_server() as (mailbox, post):
            mailbox.hangs_up = True
            refused = await post.hand_over([letter(1)])
            assert "connection lost" in refused["2026-03-02/1.eml"]
            mailbox.hangs_up = False
            assert await post.hand_over([letter(1)]) == {}
            assert mailbox.connections == 2

    async def test_addresses_beyond_ascii(self) -> None:
        """Go to a server that knows such; elsewhere that one letter waits."""
        abroad = letter(to="анна@example.org")
        async with plain_server() as (mailbox, post):
            assert list(await post.hand_over([abroad, letter(2)])) == [abroad.name]
        async with mail_server(enable_SMTPUTF8=True) as mailbox:
            post = MailServer(f"smtp://127.0.0.1:{mailbox.port}/?starttls=never")
            assert await post.hand_over([abroad]) == {}
            await post.rest()
            assert mailbox.taken[0].rcpt_tos == ["анна@example.org"]
            assert mailbox.letters[0].get_content().splitlines() == TEXT.splitlines()


class TestHandOverAll:
    async def test_told_to_stop_meanwhile(self) -> None:
        """A letter that the server is just taking is noted as taken before the worker ends."""
        queue, noted = [letter(1), letter(2)], []
        async with plain_server() as (mailbox, post):
            mailbox.holds = asyncio.Event()

            async def a_few() -> int:
                await post.hand_over([queue[0]])
                noted.append(queue.pop(0))
                return 1

            async def arrived() -> bool:
                return bool(mailbox.taken)

            working = asyncio.create_task(hand_over_all(post, a_few))
            await eventually(arrived)
            working.cancel()
            mailbox.holds.set()
            with pytest.raises(asyncio.CancelledError):
                await working
        assert (len(noted), len(queue), len(mailbox.taken)) == (1, 1, 1)


def test_waits_grow() -> None:
    """One minute, two, four ... six hours at most, however often it failed."""
    waits = [retry_delay_s(attempts) for attempts in (1, 2, 3, 9, 10, 5000)]
    assert waits == [60, 120, 240, 15360, 21600, 21600]
