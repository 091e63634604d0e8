"""A small real mail server on a port of its own, that takes letters or does not, as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from service_kit.letters import MailServer

PASSWORD = "p@ss:word of the post"


@dataclass
class Mailbox:
    """What the server has taken, and what it says to whom."""

    port: int = 0
    connections: int = 0
    taken: list[Envelope] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    """Answers to RCPT by recipient, such as `{"a@b": "550 5.1.1 unknown"}`."""

    hangs_up: bool = False
    """Break the connection where the letter itself begins."""

    holds: asyncio.Event | None = None
    """Do not say that a letter is taken before this is set."""

    @property
    def letters(self) -> list[EmailMessage]:
        return [message_from_bytes(one.content, policy=default) for one in self.taken]  # type: ignore[arg-type]

    async def handle_RCPT(  # noqa: N802  as the library calls it
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hangs_up:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        if self.holds is not None:
            await self.holds.wait()
        return "250 2.0.0 OK"


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, at_once: bool = False, password: bool = False, **options: Any
) -> AsyncIterator[Mailbox]:
    """The server while the block runs; with `tls` by STARTTLS, or from the first byte `at_once`."""
    mailbox = Mailbox()

    def check(
        _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, said: Any
    ) -> AuthResult:
        right = isinstance(said, LoginPassword) and said.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)

    def connection() -> SMTP:
        mailbox.connections += 1
        starttls = None if at_once else tls
        login: dict[str, Any] = {"authenticator": check, "auth_required": True} if password else {}
        return SMTP(mailbox, tls_context=starttls, require_starttls=bool(starttls), **login, **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if at_once else None)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
        await server.wait_closed()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server shows as `localhost`, and the file that whoever believes it has to know."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@asynccontextmanager
async def plain_server() -> AsyncIterator[tuple[Mailbox, MailServer]]:
    """A mail catcher of the own network, as containers have one, and the post that hands letters to it."""
    async with mail_server() as mailbox:
        post = MailServer(f"smtp://127.0.0.1:{mailbox.port}/?starttls=never")
        yield mailbox, post
        await post.rest()
