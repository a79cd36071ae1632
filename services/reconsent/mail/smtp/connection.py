"""A connection to a mail server: commands out, replies in, one message after the other.

Where the server offers PIPELINING (RFC 2920) a message's content and the next one's envelope leave
together, so that a message costs one round trip. The dot that ends a long message is written only
after all before it has left: without the dot, nothing was accepted.
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
"""Lines of a reply, or replies that nobody has read."""
_NO_SMTP: Final = "answered with something that is not SMTP"
_LEAVES_AT_ONCE: Final = 32_768
"""What an idle connection takes in one piece, so that it cannot break in the middle."""
_STAGES: Final[tuple[Stage, ...]] = ("MAIL", "RCPT", "DATA")


class ConnectionLostError(Exception):
    """A server is gone, silent, or not a mail server; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How many seconds to wait for a server."""

    connect: float = 30
    """Until there is a connection, and for a TLS handshake."""
    answer: float = 60
    """For a reply, and for the server to read what it is sent."""
    verdict: float = 600
    """For the reply to a whole message: giving up on it leaves its fate unknown (RFC 5321)."""


class Envelope(NamedTuple):
    """The commands that announce a message."""

    mail: bytes
    rcpt: bytes
    data: bytes = b"DATA\r\n"


class SmtpConnection(asyncio.Protocol):
    """One connection, in use by one task at a time."""

    def __init__(self, patience: Patience) -> None:
        """Wait to be connected by the event loop."""
        self.patience = patience
        self.extensions: Mapping[str, str] = {}
        self.served = 0
        """How many messages were answered for, well or badly."""
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
        """Whether the server takes commands before it has answered the ones before."""
        return "PIPELINING" in self.extensions

    @property
    def lost(self) -> bool:
        """Whether nothing can be sent any more, or the server said something unasked."""
        return self._lost is not None or bool(self._replies or self._unread)

    @property
    def own_address(self) -> str:
        """The address of this end, as EHLO takes it where there is no name (RFC 5321)."""
        known = self._transport.get_extra_info("sockname") if self._transport else None
        address = str(known[0]) if known else "127.0.0.1"
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    # ------------------------------------------------------------------ messages

    def announce(self, envelope: Envelope) -> None:
        """Write a message's envelope, where the server offers PIPELINING."""
        if self.pipelining:
            self._write(b"".join((b"RSET\r\n" if self._half_open else b"", *envelope)))

    async def admitted(self, envelope: Envelope) -> Refusal | None:
        """Read the answers to an announced envelope; None where the server waits for the content.

        To a server without PIPELINING each command is written only now. Raises
        ConnectionLostError; nothing was accepted then.
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
                raise self._failed(f"answered {reply.words}")
            if stage == "DATA" and wanted and refusal:
                # It would take a mail without recipients. RFC 2920: an empty one ends that.
                self._write(b".\r\n")
                await self.reply(self.patience.verdict)
            elif not wanted and not refusal:
                refusal = Refusal(stage, reply)
        self._half_open = refusal is not None
        self.served += refusal is not None
        return refusal

    async def content(self, content: bytes) -> None:
        """Write a message up to the dot that ends it; a short one is kept until the dot is known.

        Raises ConnectionLostError; nothing was accepted then.
        """
        if len(content) <= _LEAVES_AT_ONCE:
            self._held = content
            return
        self._write(content)
        while self._paused:
            await self._wait(self.patience.answer, "did not read")

    async def verdict(self, following: Envelope | None) -> Reply:
        """End the message, announce the following one, and return what the server says.

        Raises ConnectionLostError where it does not say; the message may have been accepted.
        """
        next_commands = following if following and self.pipelining else ()
        content, self._held = self._held, b""
        self._write(b"".join((content, b".\r\n", *next_commands)))
        reply = await self.reply(self.patience.verdict)
        if not (reply.good or reply.temporary or reply.permanent):
            raise self._failed(f"answered {reply.words}")
        self.served += 1
        return reply

    # ------------------------------------------------------------------ commands and replies

    async def command(self, line: str) -> Reply:
        """Write a command without its end of line, and return the answer."""
        self._write(line.encode() + b"\r\n")
        return await self.reply(self.patience.answer)

    async def reply(self, patience: float) -> Reply:
        """Return the next reply; raises ConnectionLostError where none comes within seconds."""
        while not self._replies:
            await self._wait(patience, "did not answer")
        return self._replies.popleft()

    async def encrypt(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS, after the server agreed to; raises OSError or ConnectionLostError."""
        if self._replies or self._unread:
            raise self._failed("said something in clear after it had agreed to TLS")
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
        """End the session politely."""
        try:
            if not self.lost:
                await asyncio.wait_for(self.command("QUIT"), 2)
        except (ConnectionLostError, TimeoutError):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Close at once, whatever is in flight."""
        self._lost = self._lost or "was hung up on"
        if self._transport:
            self._transport.abort()

    # ------------------------------------------------------------------ what the event loop calls

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, in clear or over TLS."""
        self._transport = cast("asyncio.Transport", transport)
        self.encrypted = transport.get_extra_info("ssl_object") is not None
        # Paused as soon as anything waits here: what was not paused has left. asyncio counts
        # up to the limit with TLS, and beyond it without.
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
        """Note that not everything has left yet."""
        self._paused = True

    @override
    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._wake()

    # ------------------------------------------------------------------ waiting

    def _write(self, data: bytes) -> None:
        if self._lost or not self._transport:
            raise ConnectionLostError(self._lost or "was never connected")
        self._transport.write(data)

    async def _wait(self, patience: float, failing: str) -> None:
        """Wait until something happened; raises ConnectionLostError where it is the end."""
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
        """End, and wake who waits: they find out."""
        if self._lost is None:
            self._lost = how
            if self._transport:
                self._transport.abort()
        self._wake()

    def _failed(self, how: str) -> ConnectionLostError:
        self._fail(how)
        return ConnectionLostError(how)
