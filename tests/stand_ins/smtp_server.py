"""A mail server for tests: aiosmtpd, which keeps accepted mails and can be made to misbehave."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = Literal["CONNECT", "STARTTLS", "MAIL", "RCPT", "DATA", "."]
HANG_UP: Final = "hang up"
SILENCE: Final = "silence"
STOP_READING: Final = "stop reading"
TAKE_AND_HANG_UP: Final = "take it and hang up"


class Taken(NamedTuple):
    """An accepted message."""

    sender: str
    recipients: list[str]
    options: list[str]
    content: bytes
    encrypted: bool
    user: str | None


@dataclass(kw_only=True)
class MailServer:
    """What a server offers, how it replies, and what it accepted.

    `odd` has, by step, special replies to the next ones: a reply, HANG_UP, SILENCE,
    TAKE_AND_HANG_UP, or STOP_READING after DATA; None is the usual reply. A 354 to DATA is sent
    even without recipients. `odd_for` has permanent replies to the RCPT, or to the message, of a
    recipient.
    """

    pipelining: bool = True
    smtputf8: bool = True
    size: int | None = None
    tls: ssl.SSLContext | None = None
    tls_from_start: bool = False
    users: dict[str, str] = field(default_factory=dict)
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    odd: dict[Step, deque[str | None]] = field(default_factory=lambda: defaultdict(deque))
    odd_for: dict[tuple[Step, str], str] = field(default_factory=dict)
    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    greeted: list[str] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    """All passwords received, valid or not."""
    connections: int = 0
    odd_replies: Counter[Step] = field(default_factory=Counter)
    """How often each step got a reply from `odd_for`."""

    def url(self, options: str = "", user: str = "") -> str:
        """Return a MAIL_URL for it."""
        scheme = "smtps" if self.tls_from_start else "smtp"
        return f"{scheme}://{user}{'@' if user else ''}localhost:{self.port}?{options}"

    def reply(self, step: Step, recipient: str | None = None) -> str | None:
        """Return the special reply to a step, if any."""
        if recipient is not None and (step, recipient) in self.odd_for:
            self.odd_replies[step] += 1
            return self.odd_for[step, recipient]
        return self.odd[step].popleft() if self.odd[step] else None

    # ------------------------------------------------------------------ aiosmtpd's hooks

    async def handle_EHLO(  # noqa: N802 -- aiosmtpd's name
        self,
        _server: Protocol,
        session: Session,
        _envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Offer the extensions."""
        self.greeted.append(hostname)
        session.host_name = hostname
        offered = ["250-PIPELINING"] if self.pipelining else []
        if not self.size:
            responses = [line for line in responses if "SIZE" not in line]
        return [*responses[:-1], *offered, responses[-1]]

    async def handle_MAIL(  # noqa: N802 -- aiosmtpd's name
        self,
        server: Protocol,
        _session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        """Accept a sender."""
        reply = await server.odd("MAIL")
        if reply is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply or "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self,
        server: Protocol,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accept a recipient."""
        reply = await server.odd("RCPT", address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self, server: Protocol, session: Session, envelope: Envelope
    ) -> str:
        """Accept a message."""
        [recipient] = envelope.rcpt_tos
        reply = self.reply(".", recipient)
        if reply in {None, TAKE_AND_HANG_UP} or str(reply).startswith("2"):
            content = envelope.content
            assert isinstance(content, bytes)
            encrypted = session.ssl is not None or self.tls_from_start
            login: LoginPassword | None = getattr(session, "auth_data", None)  # typed as None
            user = login.login.decode() if login else None
            self.taken.append(
                Taken(
                    str(envelope.mail_from),
                    list(envelope.rcpt_tos),
                    list(envelope.mail_options),
                    content,
                    encrypted,
                    user,
                )
            )
        await server.act(reply)
        return reply or "250 2.0.0 Ok: queued"

    def authenticate(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        login: LoginPassword,
    ) -> AuthResult:
        """Check a user and a password."""
        user, password = login.login.decode(), login.password.decode()
        self.passwords.append(password)
        valid = self.users.get(user) == password
        return AuthResult(success=valid, handled=False, auth_data=login)


class Protocol(SMTP):
    """A connection to the server."""

    def __init__(self, kept: MailServer, loop: asyncio.AbstractEventLoop) -> None:
        """Take the options of the server."""
        self.kept = kept
        self.begun = False
        super().__init__(
            kept,
            hostname="mail.test",
            data_size_limit=kept.size,
            enable_SMTPUTF8=kept.smtputf8,
            tls_context=None if kept.tls_from_start else kept.tls,
            authenticator=kept.authenticate if kept.users else None,
            auth_require_tls=not kept.tls_from_start,
            auth_exclude_mechanism={"PLAIN", "LOGIN"} - set(kept.mechanisms),
            loop=loop,
        )

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and maybe reject it."""
        if transport.get_extra_info("ssl_object") is None or self.kept.tls_from_start:
            self.kept.connections += 1
            reply = self.kept.reply("CONNECT")
            if reply is not None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(b"" if reply in {HANG_UP, SILENCE} else f"{reply}\r\n".encode())
                if reply != SILENCE:
                    transport.close()
                return
        self.begun = True
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        """Close the session if it was begun."""
        if self.begun:
            super().connection_lost(error)

    @override
    async def smtp_STARTTLS(self, arg: str) -> None:
        reply = await self.odd("STARTTLS")
        if reply is not None:
            await self.push(reply)
            return
        await super().smtp_STARTTLS(arg)

    @override
    async def smtp_DATA(self, arg: str) -> None:
        reply = await self.odd("DATA")
        if reply is not None:
            await self.push(reply)
            if reply.startswith("354"):
                # A message without recipients is rejected so by RFC 2920.
                await self._reader.readuntil(b".\r\n")
                await self.push("554 5.5.1 No valid recipients")
            return
        await super().smtp_DATA(arg)

    async def odd(self, step: Step, recipient: str | None = None) -> str | None:
        """Return a special reply, or hang up or stall."""
        reply = self.kept.reply(step, recipient)
        await self.act(reply)
        return reply

    async def act(self, reply: str | None) -> None:
        """Do what is not a reply: hang up or stall."""
        if reply in {HANG_UP, TAKE_AND_HANG_UP}:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
            await asyncio.sleep(3600)  # until the connection's end cancels this
        elif reply == STOP_READING:
            assert isinstance(self.transport, asyncio.Transport)
            await self.push("354 Go ahead")
            self.transport.pause_reading()
            await asyncio.sleep(3600)
        elif reply == SILENCE:
            await asyncio.sleep(3600)


@contextmanager
def running(server: MailServer) -> Iterator[MailServer]:
    """Run a server on a free port, in a thread."""
    loop = asyncio.new_event_loop()
    context = server.tls if server.tls_from_start else None
    listening = loop.run_until_complete(
        loop.create_server(lambda: Protocol(server, loop), "localhost", 0, ssl=context)
    )
    server.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    ended = asyncio.all_tasks() - {asyncio.current_task()}
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    await asyncio.sleep(0.01)
