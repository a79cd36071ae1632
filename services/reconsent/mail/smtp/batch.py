"""One mail to many recipients over SMTP: who still waits, and the results of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from reconsent.domain.address import UnusableAddressError, international_address
from reconsent.domain.mail import Result
from reconsent.mail.smtp.backoff import A_WHILE
from reconsent.mail.smtp.connection import Envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from reconsent.domain.mail import Recipient
    from reconsent.mail.mime import MimeMail
    from reconsent.mail.return_path import ReturnPath
    from reconsent.mail.smtp.backoff import Backoff
    from reconsent.mail.smtp.replies import Refusal, Reply

_MAIL_AT_FAULT: Final = 5
"""With this many doubtful refusals and none accepted, the mail is at fault."""
_GIVE_UP: Final = 20
_NO_SMTPUTF8: Final = (
    "the address has non-ASCII characters before its @,"
    " which the mail server does not accept (it does not offer SMTPUTF8)"
)


class Message(NamedTuple):
    """One recipient's message, ready to send; `place` is the recipient's position."""

    place: int
    domain: str
    envelope: Envelope
    content: bytes


@dataclass(kw_only=True)
class Batch:
    """State shared by the tasks that send one mail.

    Each message gets a result, unless sending stops; then `stopped` says why. If `stopped_until` is
    set, only this mail is affected.
    """

    mail: MimeMail
    recipients: Sequence[Recipient]
    backoff: Backoff
    now: datetime
    return_path: ReturnPath | None = None
    stopped: str | None = None
    stopped_until: datetime | None = None
    accepted: int = 0
    results: dict[int, Result] = field(default_factory=dict)
    _given_back: deque[Message] = field(default_factory=deque)
    _given_back_once: set[int] = field(default_factory=set)
    _doubtful: dict[int, tuple[Refusal, datetime]] = field(default_factory=dict)
    _next: int = 0

    def waiting(self) -> bool:
        """Tell whether anything is left to send."""
        left = self._given_back or self._next < len(self.recipients)
        return bool(left) and self.stopped is None

    def take(self, extensions: Mapping[str, str]) -> Message | None:
        """Take the next message for a server that offers these extensions."""
        while self.waiting():
            if self._given_back:
                return self._given_back.popleft()
            place = self._next
            self._next += 1
            message = self._message(place, self.recipients[place], extensions)
            if isinstance(message, Message):
                return message
            self.results[place] = message
        return None

    def _message(
        self, place: int, recipient: Recipient, extensions: Mapping[str, str]
    ) -> Message | Result:
        try:
            address = international_address(recipient.email)
        except UnusableAddressError as error:
            return Result("rejected", str(error))
        if not address.isascii() and "SMTPUTF8" not in extensions:
            return Result("rejected", _NO_SMTPUTF8)
        domain = address.rpartition("@")[2].lower()
        if until := self.backoff.left_alone_until(domain, self.now):
            return Result("retry", f"{domain} temporarily rejects mail", until)
        content = self.mail.transmitted(recipient, address)
        limit = extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < len(content):
            self._stop_mail(f"the mail has {len(content)} bytes; the mail server accepts {limit}")
            return Result("retry", self.stopped, self.stopped_until)
        size = f" SIZE={len(content)}" if "SIZE" in extensions else ""
        wide = "" if address.isascii() else " BODY=8BITMIME SMTPUTF8"
        sender = self.return_path.of(recipient.notice) if self.return_path else self.mail.sender
        envelope = Envelope(
            f"MAIL FROM:<{sender}>{size}{wide}\r\n".encode(),
            f"RCPT TO:<{address}>\r\n".encode(),
        )
        return Message(place, domain, envelope, content)

    # ------------------------------------------------------------------ the result of one message

    def give_back(self, message: Message, why: str, *, worked: bool) -> None:
        """Return a message that was certainly not sent; retry once if the connection had worked."""
        if worked and message.place not in self._given_back_once:
            self._given_back_once.add(message.place)
            self._given_back.appendleft(message)
        else:
            self.results[message.place] = Result("retry", why)

    def untouched(self, message: Message) -> None:
        """Return a message of which nothing was sent."""
        self._given_back.appendleft(message)

    def unknown(self, message: Message, why: str) -> None:
        """Record that the server may have accepted a message."""
        self.results[message.place] = Result("unknown", why)

    def accept(self, message: Message) -> None:
        """Record that the server accepted a message."""
        self.results[message.place] = Result("accepted")
        self.accepted += 1
        self.backoff.accepted(message.domain)

    def refused(self, message: Message, refusal: Refusal) -> None:
        """Record that the server rejected a message, temporarily or permanently."""
        if refusal.of_the_mail:
            self._stop_mail(refusal.reason)
        elif refusal.of_the_sender:
            self.stopped = refusal.reason
        elif refusal.reply.temporary:
            until = self._again(message, refusal.reply)
            self.results[message.place] = Result("retry", refusal.reason, until)
        elif refusal.doubtful:
            self._doubtful[message.place] = refusal, self._again(message, refusal.reply)
            if not self.accepted and len(self._doubtful) >= _GIVE_UP:
                self._stop_mail(refusal.reason)
        else:
            self.results[message.place] = _rejected(refusal)

    def _stop_mail(self, why: str) -> None:
        self.stopped, self.stopped_until = why, self.now + A_WHILE

    def _again(self, message: Message, reply: Reply) -> datetime:
        if reply.about_mailbox:
            return self.now + A_WHILE
        return self.backoff.refused(message.domain, self.now)

    # ------------------------------------------------------------------ the end

    def settle(self, why: str | None, *, proven: bool) -> list[Result]:
        """Return one result for each recipient; unsent messages are retries, with `why` as reason.

        `proven`: the server has accepted mail of ours before. If it has not, and refuses the client
        rather than a recipient, no recipient is rejected.
        """
        for place, (refusal, until) in self._doubtful.items():
            of_the_client = refusal.stage != "." and not proven
            of_the_mail = len(self._doubtful) >= _MAIL_AT_FAULT
            blameless = not self.accepted and (of_the_client or of_the_mail)
            self.results[place] = (
                Result("retry", refusal.reason, until) if blameless else _rejected(refusal)
            )
        left = Result("retry", self.stopped or why, self.stopped_until)
        return [self.results.get(place, left) for place in range(len(self.recipients))]


def _rejected(refusal: Refusal) -> Result:
    return Result("rejected", refusal.reason, mailbox=refusal.of_the_mailbox)
