"""Handing letters over: to a folder that a mail system picks up, or to a mail server (SMTP, RFC 5321).

A file is in its place however often it is written, so many letters are handed over before that is committed.
What a mail server has taken cannot be taken back: each letter is committed before the next one is sent.
"""

import asyncio
import contextlib
import os
import re
import smtplib
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import SMTP
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from pydantic import SecretStr

from service_kit.telemetry import LETTERS

log = structlog.get_logger(__name__)

T = TypeVar("T")

FOLDER_AT_ONCE = 100
CONNECT_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 600.0
"""So long may a server take to say that it has a letter (RFC 5321, 4.5.3.2.6); who gives up sooner sends it
twice."""

SERVER_DELAY_S = (5.0, 300.0)
"""How long a server that takes nothing is left alone: at first, doubling, and at most."""

LETTER_DELAY_S = (60.0, 6 * 3600.0)
"""The same for one letter that it does not take."""

SEVEN_BIT = SMTP.clone(cte_type="7bit")
SERVICE_CLOSES = 421
TOO_LARGE = 552


@dataclass(frozen=True, slots=True)
class FinishedLetter:
    """A letter as it leaves: the same `name` and `content` however often it is handed over."""

    name: str
    """Its place inside the folder, such as `2026-03-02/<id>.eml`."""

    sender: str
    recipient: str
    content: bytes


class PostUnavailable(Exception):
    """No letter is taken now. The post itself knows when it is worth trying again."""


class Post(Protocol):
    """Whoever takes letters from us."""

    @property
    def at_once(self) -> int:
        """How many letters may be handed over before that is committed."""

    async def hand_over(self, letters: Sequence[FinishedLetter]) -> Mapping[str, str]:
        """Hand all of them over; answers which were not taken, by name, and why.

        Raises `PostUnavailable` when nothing is taken now; then none of these letters has left.
        """

    async def rest(self) -> None:
        """There is nothing more to hand over for the moment."""


def post_of(
    smtp_url: SecretStr | None,
    folder: Path | None,
    *,
    at_once: int = FOLDER_AT_ONCE,
    mode: int = 0o666,
) -> Post:
    """The mail server when there is one, else the folder, for which `at_once` and `mode` of new files are.

    Raises `ValueError` when there is neither, or the address of the server is of no use.
    """
    if smtp_url is not None:
        return MailServer(smtp_url.get_secret_value())
    if folder is None:
        raise ValueError("letters need a mail server (setting smtp_url) or a folder (letters_folder)")
    return Folder(folder, at_once, mode)


def retry_delay_s(attempts: int) -> float:
    """How long a letter waits that was not taken so many times."""
    return _growing(LETTER_DELAY_S, attempts)


async def hand_over_all(post: Post, a_few: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Call `a_few` until it answers 0, or the post takes nothing more; answers the sum.

    `a_few` opens a transaction, hands over what is due and notes it. It is never cut off in between, so that
    a worker that is told to stop leaves no letter that was sent and not noted.
    """
    handled = 0
    try:
        while count := await _to_its_end(a_few()):
            handled += count
    except PostUnavailable as error:
        log.info("letters_wait", reason=str(error))
    finally:
        await post.rest()
    return handled


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _growing(delay_s: tuple[float, float], failures: int) -> float:
    first, most = delay_s
    return min(first * 2.0 ** min(failures - 1, 30), most)


@dataclass(frozen=True)
class Folder:
    """Files for a mail system that picks them up."""

    folder: Path
    at_once: int = FOLDER_AT_ONCE
    mode: int = 0o666
    """Rights of a new file, less those that the process takes from all its files."""

    async def hand_over(self, letters: Sequence[FinishedLetter]) -> Mapping[str, str]:
        await asyncio.to_thread(self._write, letters)
        LETTERS.labels("handed_over").inc(len(letters))
        return {}

    async def rest(self) -> None:
        pass

    def _write(self, letters: Sequence[FinishedLetter]) -> None:
        """Write each letter beside its place, then move it there: nobody reads half a letter."""
        for letter in letters:
            target = self.folder / letter.name
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_suffix(f".{os.getpid()}.draft")
            # Never, not for a moment, with more rights than it shall have.
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self.mode), "wb") as file:
                file.write(letter.content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)


@dataclass(frozen=True)
class _Address:
    """Where the server is and what it wants of us."""

    host: str
    port: int
    tls: str
    """`at_once`, `starttls` or `none`."""
    user: str | None
    password: str

    @classmethod
    def of(cls, url: str) -> "_Address":
        """Read `smtp[s]://[user:password@]host[:port][?starttls=never]`; messages never show the password."""
        parts = urlsplit(url)
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        never = options.pop("starttls", ["always"]) == ["never"]
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or options:
            raise ValueError("smtp_url is not smtp[s]://[user:password@]host[:port][?starttls=never]")
        tls = "at_once" if parts.scheme == "smtps" else "none" if never else "starttls"
        if parts.username and tls == "none":
            raise ValueError(
                "smtp_url has a password and starttls=never: it would cross the network readable"
            )
        port = parts.port or {"at_once": 465, "starttls": 587, "none": 25}[tls]
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, tls, user, unquote(parts.password or ""))


class MailServer:
    """A mail server. One connection lives as long as there is something to hand over.

    Whether it is the server that takes nothing or one letter that it does not take makes the difference: the
    former is left alone for a while that grows, with every letter; the latter alone waits, and others pass.
    Certificates are checked by the system's authorities, or those that the variable SSL_CERT_FILE names.
    """

    at_once = 1

    def __init__(self, url: str, *, stop_watch: Callable[[], float] = time.monotonic) -> None:
        self._address = _Address.of(url)
        self._stop_watch = stop_watch
        self._connection: smtplib.SMTP | None = None
        self._failures = 0
        self._closed_until_s = float("-inf")

    async def hand_over(self, letters: Sequence[FinishedLetter]) -> Mapping[str, str]:
        refused = {}
        for letter in letters:
            reason = await asyncio.to_thread(self._send, letter)
            if reason is not None:
                refused[letter.name] = reason
                log.warning("letter_refused", letter=letter.name, reason=reason)
            LETTERS.labels("handed_over" if reason is None else "refused").inc()
        return refused

    async def rest(self) -> None:
        await asyncio.to_thread(self._quit)

    def _send(self, letter: FinishedLetter) -> str | None:
        """Answers why the letter was not taken, or nothing when it was."""
        connection = self._connected()
        content, options = _as_the_server_wants_it(letter)
        reason = None
        try:
            connection.sendmail(letter.sender, [letter.recipient], content, options)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = error.recipients[letter.recipient]
            reason = self._refused(code, text)
        except smtplib.SMTPSenderRefused as error:
            if error.smtp_code != TOO_LARGE:
                # Whatever it is, it would be so for the next letter as well.
                raise self._fail(_named(error.smtp_code, error.smtp_error)) from error
            reason = _named(error.smtp_code, error.smtp_error)
        except smtplib.SMTPResponseException as error:
            reason = self._refused(error.smtp_code, error.smtp_error)
        except smtplib.SMTPNotSupportedError:
            reason = "the server knows no addresses beyond ASCII"
        except OSError as error:
            # Perhaps it has the letter and perhaps not. To lose it would be worse than to send it twice.
            self._drop()
            reason = f"connection lost: {type(error).__name__}"
        self._failures = 0
        return reason

    def _refused(self, code: int, text: bytes | str) -> str:
        if code == SERVICE_CLOSES:
            raise self._fail(_named(code, text))
        return _named(code, text)

    def _connected(self) -> smtplib.SMTP:
        if self._connection is not None:
            return self._connection
        if self._stop_watch() < self._closed_until_s:
            raise PostUnavailable("the mail server is left alone for a while")
        try:
            self._connection = self._connect()
        except smtplib.SMTPResponseException as error:
            raise self._fail(_named(error.smtp_code, error.smtp_error)) from error
        except OSError as error:
            raise self._fail(type(error).__name__) from error
        return self._connection

    def _connect(self) -> smtplib.SMTP:
        at, tls = self._address, ssl.create_default_context()
        kind = partial(smtplib.SMTP_SSL, context=tls) if at.tls == "at_once" else smtplib.SMTP
        connection = kind(at.host, at.port, timeout=CONNECT_TIMEOUT_S)
        try:
            if at.tls == "starttls":
                # Raises when it is not offered: whoever stands in between may have taken it away.
                connection.starttls(context=tls)
            if at.user is not None:
                connection.login(at.user, at.password)
            if connection.sock is not None:
                connection.sock.settimeout(ANSWER_TIMEOUT_S)
        except BaseException:
            connection.close()
            raise
        return connection

    def _fail(self, reason: str) -> PostUnavailable:
        self._drop()
        self._failures += 1
        wait_s = _growing(SERVER_DELAY_S, self._failures)
        self._closed_until_s = self._stop_watch() + wait_s
        LETTERS.labels("unavailable").inc()
        log.warning("mail_server_unavailable", reason=reason, again_in_s=wait_s)
        return PostUnavailable(reason)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _quit(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.quit()


def _as_the_server_wants_it(letter: FinishedLetter) -> tuple[bytes, tuple[str, ...]]:
    """Readable by every server; only an address beyond ASCII asks for one that knows such (RFC 6531)."""
    if (letter.sender + letter.recipient).isascii():
        return message_from_bytes(letter.content, policy=SEVEN_BIT).as_bytes(), ()
    return letter.content, ("SMTPUTF8", "BODY=8BITMIME")


def _named(code: int, text: bytes | str) -> str:
    """The numbers of an answer; its words may repeat an address, which is nothing for a log."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    detail = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", words)
    return f"{code} {detail.group()}" if detail else str(code)
