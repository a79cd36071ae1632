"""A connection to a mail server: sends commands, reads replies, one message after the other.

If the server offers PIPELINING (RFC 2920), a message's content and the next one's envelope are sent
together, so that a message costs one round trip. The dot that ends a long message is written only
once everything before it has been sent: without the dot, nothing was accepted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from typing_extensions import override

from reconsent.mail.smtp.replies import CLOSING, GO_AHEAD, Refusal, Reply, Stage, read_line

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

_LONGEST_LINE: Final = 4096
_MOST: Final = 200
"""The most lines of a reply, and the most unread replies."""
_NO_SMTP: Final = "sent something that is not SMTP"
_LEAVES_AT_ONCE: Final = 32_768
"""The most bytes that an idle connection sends in one piece, without breaking in the middle."""
_STAGES: Final[tuple[Stage, ...]] = ("MAIL", "RCPT", "DATA")


class ConnectionLostError(Exception):
    """The server is gone, silent, or not a mail server; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Timeouts in seconds."""

    connect: float = 30
    """For connecting, and for a TLS handshake."""
    answer: float = 60
    """For a reply, and for the server to read what is sent."""
    verdict: float = 600
    """For the reply to a whole message; after a timeout its outcome is unknown (RFC 5321)."""


class Envelope(NamedTuple):
    """The commands that announce a message."""

    mail: bytes
    rcpt: bytes
    data: bytes = b"DATA\r\n"


class SmtpConnection(asyncio.Protocol):
    """One connection, used by one task at a time."""

    def __init__(self, patience: Patience) -> None:
        """Start unconnected; the event loop connects it."""
        self.patience = patience
        self.extensions: Mapping[str, str] = {}
        self.served = 0
        """How many messages the server accepted or rejected."""
        self.used_at = 0.0
        self.encrypted = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._lost: str | None = None
        self._unread = b""
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._awaited: asyncio.Future[None] | None = None
        self._paused = False
        self._half_open = False
        self._held = b""

    @property
    def pipelining(self) -> bool:
        """Whether the server takes commands before it has replied to earlier ones."""
        return "PIPELINING" in self.extensions

    @property
    def lost(self) -> bool:
        """Whether the connection is closed, or the server sent something unsolicited."""
        return self._lost is not None or bool(self._replies or self._unread)

    @property
    def own_address(self) -> str:
        """This end's address as a literal for EHLO, for a client without a name (RFC 5321)."""
        known = self._transport.get_extra_info("sockname") if self._transport else None
        address = str(known[0]) if known else "127.0.0.1"
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    # ------------------------------------------------------------------ messages

    def announce(self, envelope: Envelope) -> None:
        """Write a message's envelope, if the server offers PIPELINING."""
        if self.pipelining:
            self._write(b"".join((b"RSET\r\n" if self._half_open else b"", *envelope)))

    async def admitted(self, envelope: Envelope) -> Refusal | None:
        """Read the replies to an announced envelope; None if the server waits for the content.

        Without PIPELINING each command is written only now. Raises ConnectionLostError; nothing was
        accepted then.
        """
        commands: Sequence[tuple[Stage, bytes]] = list(zip(_STAGES, envelope, strict=True))
        if self._half_open:
            commands = [("RSET", b"RSET\r\n"), *commands]
        refusal: Refusal | None = None
        for stage, command in commands:
            if not self.pipelining:
                if refusal:
                    break
                self._write(command)
            reply = await self.reply(self.patience.answer)
            wanted = reply.code == GO_AHEAD if stage == "DATA" else reply.good
            if reply.code == CLOSING or not (wanted or reply.temporary or reply.permanent):
                raise self._failed(f"replied {reply.words}")
            if stage == "DATA" and wanted and refusal:
                # The server waits for a mail without recipients; RFC 2920: send an empty one.
                self._write(b".\r\n")
                await self.reply(self.patience.verdict)
            elif not wanted and not refusal:
                refusal = Refusal(stage, reply)
        self._half_open = refusal is not None
        self.served += refusal is not None
        return refusal

    async def content(self, content: bytes) -> None:
        """Write a message up to the dot that ends it; a short one is kept and sent with its dot.

        Raises ConnectionLostError; nothing was accepted then.
        """
        if len(content) <= _LEAVES_AT_ONCE:
            self._held = content
            return
        self._write(content)
        while self._paused:
            await self._wait(self.patience.answer, "did not read")

    async def verdict(self, following: Envelope | None) -> Reply:
        """End the message, announce the following one, and return the server's reply.

        Raises ConnectionLostError if there is none; the message may have been accepted then.
        """
        next_commands = following if following and self.pipelining else ()
        content, self._held = self._held, b""
        self._write(b"".join((content, b".\r\n", *next_commands)))
        reply = await self.reply(self.patience.verdict)
        if not (reply.good or reply.temporary or reply.permanent):
            raise self._failed(f"replied {reply.words}")
        self.served += 1
        return reply

    # ------------------------------------------------------------------ commands and replies

    async def command(self, line: str) -> Reply:
        """Send a command, given without its line end, and return the reply."""
        self._write(line.encode() + b"\r\n")
        return await self.reply(self.patience.answer)

    async def reply(self, patience: float) -> Reply:
        """Return the next reply; raises ConnectionLostError if none comes in `patience` seconds."""
        while not self._replies:
            await self._wait(patience, "did not reply")
        return self._replies.popleft()

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Switch to TLS once the server has agreed; raises OSError or ConnectionLostError."""
        if self._replies or self._unread:
            raise self._failed("sent plain text after it had agreed to TLS")
        if self._transport is None or self._lost:
            raise ConnectionLostError(self._lost or "was never connected")
        patience = self.patience.connect
        upgraded = await self._loop.start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=patience
        )
        if upgraded is None:
            raise self._failed("closed the connection")
        self.connection_made(upgraded)

    async def quit(self) -> None:
        """End the session with QUIT."""
        try:
            if not self.lost:
                await asyncio.wait_for(self.command("QUIT"), 2)
        except (ConnectionLostError, TimeoutError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close at once, without waiting for anything in flight."""
        self._lost = self._lost or "was hung up on"
        if self._transport:
            self._transport.abort()

    # ------------------------------------------------------------------ what the event loop calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, in plain text or over TLS."""
        self._transport = cast("asyncio.Transport", transport)
        self.encrypted = transport.get_extra_info("ssl_object") is not None
        # Pause as soon as anything is buffered: if not paused, everything was sent. asyncio
        # pauses at the limit with TLS, and above it without.
        self._transport.set_write_buffer_limits(high=int(self.encrypted), low=0)

    @override
    def data_received(self, data: bytes) -> None:
        """Read replies, line by line."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            read = read_line(line)
            if read is None:
                self._fail(_NO_SMTP)
                return
            last, reply = read
            if self._lines or not last:
                self._lines.append(reply.text)
            if last:
                if self._lines:
                    reply, self._lines = Reply(reply.code, "\n".join(self._lines)), []
                self._replies.append(reply)
        if max(len(self._lines), len(self._replies)) > _MOST or len(self._unread) > _LONGEST_LINE:
            self._fail(_NO_SMTP)
        elif self._replies:
            self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the task that waits."""
        self._fail(f"broke the connection: {exc}" if exc else "closed the connection")

    @override
    def pause_writing(self) -> None:
        """Record that some bytes are not sent yet."""
        self._paused = True

    @override
    def resume_writing(self) -> None:
        """Continue."""
        self._paused = False
        self._wake()

    # ------------------------------------------------------------------ waiting

    def _write(self, data: bytes) -> None:
        if self._lost or not self._transport:
            raise ConnectionLostError(self._lost or "was never connected")
        self._transport.write(data)

    async def _wait(self, patience: float, failing: str) -> None:
        """Wait until something happens; raises ConnectionLostError if the connection is lost."""
        if self._lost:
            raise ConnectionLostError(self._lost)
        self._awaited = self._loop.create_future()
        late = self._loop.call_later(
            patience, self._fail, f"{failing} within {patience:.0f} seconds"
        )
        try:
            await self._awaited
        finally:
            late.cancel()
            self._awaited = None

    def _wake(self) -> None:
        if self._awaited and not self._awaited.done():
            self._awaited.set_result(None)

    def _fail(self, how: str) -> None:
        """Mark the connection as lost, and wake the task that waits, which will notice."""
        if self._lost is None:
            self._lost = how
            if self._transport:
                self._transport.abort()
        self._wake()

    def _failed(self, how: str) -> ConnectionLostError:
        self._fail(how)
        return ConnectionLostError(how)
