"""A mail server, a provider that sends to it, and a clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Final

from reconsent.domain.mail import Result
from reconsent.mail.return_path import ReturnPath
from reconsent.mail.smtp.connection import Patience
from reconsent.mail.smtp.provider import Smtp
from reconsent.mail.smtp.settings import smtp_settings
from tests.stand_ins.smtp_server import MailServer, running

NOON: Final = datetime(2026, 12, 1, 12, tzinfo=UTC)
PATIENCE: Final = Patience(connect=5, answer=2, verdict=2)
"""Shorter than the defaults."""


@dataclass(kw_only=True)
class Clock:
    """A clock that the test sets."""

    time: datetime = NOON

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time


@contextmanager
def sending(
    server: MailServer,
    options: str = "connections=1",
    *,
    user: str = "",
    clock: Clock | None = None,
    return_path: ReturnPath | None = None,
) -> Iterator[Smtp]:
    """Run a server; yield a provider that sends to it, with the options of a MAIL_URL."""
    with running(server):
        url = smtp_settings(server.url(options, user))
        smtp = Smtp(url, clock or Clock(), return_path=return_path, patience=PATIENCE)
        try:
            yield smtp
        finally:
            smtp.close()


def outcomes(results: Sequence[Result]) -> list[str]:
    """Return the outcomes of results."""
    return [result.outcome for result in results]


def reached(server: MailServer) -> list[str]:
    """Return the recipients of accepted messages, in order."""
    return [recipient for taken in server.taken for recipient in taken.recipients]


def parsed(content: bytes) -> EmailMessage:
    """Parse a message with the standard library."""
    return message_from_bytes(content, _class=EmailMessage, policy=default)
