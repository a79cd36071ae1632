"""Mail servers' replies (RFC 5321, RFC 3463), and what a refusal is about."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from reconsent.domain.mail_report import speaks_of_mailbox
from reconsent.mail.address import without_addresses

Stage = Literal["RSET", "MAIL", "RCPT", "DATA", "."]
"""What a reply is to: a command of a message's transaction, or the dot that ends the message."""

CLOSING: Final = 421
"""The server closes the connection."""
GO_AHEAD: Final = 354

_TOO_LARGE: Final = 552
_LONGEST_REASON: Final = 500
_ENHANCED: Final = re.compile(r"[245]\.(\d{1,3})\.\d{1,3}\b")
# Bad command or sequence; TLS or credentials required.
_OF_THE_LINE: Final = frozenset({500, 502, 503, 504, 530, 534, 535, 538})
# By RFC 3463: the mail system, the content, and security or policy.
_OF_THE_SERVER_OR_MAIL: Final = frozenset({"3", "6", "7"})
_MAILBOX: Final = "2"


class Reply(NamedTuple):
    """A server's reply; the text has a line for each of its lines, without their codes."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.code < 300  # noqa: PLR2004 -- RFC 5321's classes

    @property
    def temporary(self) -> bool:
        """Whether it is a temporary rejection."""
        return 400 <= self.code < 500  # noqa: PLR2004 -- RFC 5321's classes

    @property
    def permanent(self) -> bool:
        """Whether it is a permanent rejection."""
        return self.code >= 500  # noqa: PLR2004 -- RFC 5321's classes

    @property
    def words(self) -> str:
        """The reply as a reason that is safe to store: one line without addresses."""
        return without_addresses(f"{self.code} {self.text}")[:_LONGEST_REASON]

    @property
    def subject(self) -> str:
        """The subject of the enhanced status code (RFC 3463); empty if there is none."""
        found = _ENHANCED.match(self.text)
        return found[1] if found else ""

    @property
    def about_mailbox(self) -> bool:
        """Whether it is about this one mailbox, such as a full one."""
        return self.subject == _MAILBOX


class Refusal(NamedTuple):
    """The rejection of a message, and its stage."""

    stage: Stage
    reply: Reply

    @property
    def reason(self) -> str:
        """Why, in the server's words."""
        return f"the mail server replied {self.reply.words}"

    @property
    def of_the_mailbox(self) -> bool:
        """Whether it marks the mailbox. RULES 15."""
        return speaks_of_mailbox(
            f"{self.reply.code} {self.reply.text}", to_recipient=self.stage == "RCPT"
        )

    @property
    def of_the_sender(self) -> bool:
        """Whether nothing can be sent: the recipient was not named yet."""
        return self.stage in {"RSET", "MAIL"}

    @property
    def of_the_mail(self) -> bool:
        """Whether the mail is too large for every recipient."""
        return self.stage == "MAIL" and self.reply.code == _TOO_LARGE

    @property
    def doubtful(self) -> bool:
        """Whether the client or the mail may be at fault rather than the recipient."""
        if not self.reply.permanent:
            return False
        if self.reply.subject in {"1", _MAILBOX}:
            return False
        return (
            self.stage == "."
            or self.reply.code in _OF_THE_LINE
            or self.reply.subject in _OF_THE_SERVER_OR_MAIL
        )


@lru_cache(maxsize=256)  # replies repeat
def read_line(line: bytes) -> tuple[bool, Reply] | None:
    """Return whether a line ends its reply, and its content; None if it is not a valid reply."""
    line = line.removesuffix(b"\r")
    code, separator, text = line[:3], line[3:4], line[4:]
    if not (len(code) == 3 and code.isdigit() and code[:1] in b"2345" and separator in b" -"):  # noqa: PLR2004 -- RFC 5321's codes
        return None
    return separator != b"-", Reply(int(code), text.decode("utf-8", "replace").strip())
