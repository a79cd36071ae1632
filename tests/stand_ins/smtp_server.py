"""A mail server of the test's own: aiosmtpd, which keeps what it takes and can be made odd."""

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
    """A message that the server took."""

    sender: str
    recipients: list[str]
    options: list[str]
    content: bytes
    encrypted: bool
    user: str | None


@dataclass(kw_only=True)
class MailServer:
    """What a server offers, what it answers, and what it took.

    `odd` has, by step, the answers to the next ones instead of the usual: a reply, HANG_UP,
    SILENCE, TAKE_AND_HANG_UP, or STOP_READING after DATA; None is the usual one. A 354 to DATA is
    said even where there is no recipient. `odd_for` has answers to the RCPT, or to the message, of
    a recipient, for ever.
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
    """What was given as a password, right or wrong."""
    connections: int = 0
    answered: Counter[Step] = field(default_factory=Counter)
    """How often something in `odd_for` was answered."""

    def url(self, options: str = "", user: str = "") -> str:
        """Return a MAIL_URL for it."""
        scheme = "smtps" if self.tls_from_start else "smtp"
        return f"{scheme}://{user}{'@' if user else ''}localhost:{self.port}?{options}"

    def answer(self, step: Step, recipient: str | None = None) -> str | None:
        """Return what is to be answered instead of the usual."""
        if recipient is not None and (step, recipient) in self.odd_for:
            self.answered[step] += 1
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
        """Say what is offered."""
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
        """Take a sender."""
        answer = await server.odd("MAIL")
        if answer is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self,
        server: Protocol,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Take a recipient."""
        answer = await server.odd("RCPT", address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd's name
        self, server: Protocol, session: Session, envelope: Envelope
    ) -> str:
        """Take a message."""
        [recipient] = envelope.rcpt_tos
        answer = self.answer(".", recipient)
        if answer in {None, TAKE_AND_HANG_UP} or str(answer).startswith("2"):
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
        await server.act(answer)
        return answer or "250 2.0.0 Ok: queued"

    def authenticate(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        login: LoginPassword,
    ) -> AuthResult:
        """Know the users."""
        user, password = login.login.decode(), login.password.decode()
        self.passwords.append(password)
        good = self.users.get(user) == password
        return AuthResult(success=good, handled=False, auth_data=login)


class Protocol(SMTP):
    """A connection to such a server."""

    def __init__(self, kept: MailServer, loop: asyncio.AbstractEventLoop) -> None:
        """Offer what the server offers."""
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
        """Count, and perhaps let nobody in."""
        if transport.get_extra_info("ssl_object") is None or self.kept.tls_from_start:
            self.kept.connections += 1
            answer = self.kept.answer("CONNECT")
            if answer is not None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(b"" if answer in {HANG_UP, SILENCE} else f"{answer}\r\n".encode())
                if answer != SILENCE:
                    transport.close()
                return
        self.begun = True
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        """End what was begun."""
        if self.begun:
            super().connection_lost(error)

    @override
    async def smtp_STARTTLS(self, arg: str) -> None:
        answer = await self.odd("STARTTLS")
        if answer is not None:
            await self.push(answer)
            return
        await super().smtp_STARTTLS(arg)

    @override
    async def smtp_DATA(self, arg: str) -> None:
        answer = await self.odd("DATA")
        if answer is not None:
            await self.push(answer)
            if answer.startswith("354"):
                # To nobody: RFC 2920 has it end so.
                await self._reader.readuntil(b".\r\n")
                await self.push("554 5.5.1 No valid recipients")
            return
        await super().smtp_DATA(arg)

    async def odd(self, step: Step, recipient: str | None = None) -> str | None:
        """Return an odd answer, or act oddly."""
        answer = self.kept.answer(step, recipient)
        await self.act(answer)
        return answer

    async def act(self, answer: str | None) -> None:
        """Do what is no answer."""
        if answer in {HANG_UP, TAKE_AND_HANG_UP}:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
            await asyncio.sleep(3600)  # until the connection's end cancels this
        elif answer == STOP_READING:
            assert isinstance(self.transport, asyncio.Transport)
            await self.push("354 Go ahead")
            self.transport.pause_reading()
            await asyncio.sleep(3600)
        elif answer == SILENCE:
            await asyncio.sleep(3600)


@contextmanager
def running(server: MailServer) -> Iterator[MailServer]:
    """Run a server on a port of this machine's, in a thread."""
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
