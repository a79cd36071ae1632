"""A mail server, a provider that sends to it, and the time; what a test reads of them."""

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
from reconsent.mail.smtp.connection import Patience
from reconsent.mail.smtp.provider import Smtp
from reconsent.mail.smtp.settings import smtp_settings
from tests.stand_ins.smtp_server import MailServer, running

NOON: Final = datetime(2026, 12, 1, 12, tzinfo=UTC)
PATIENCE: Final = Patience(connect=5, answer=2, verdict=2)
"""Less than servers usually get."""


@dataclass(kw_only=True)
class Clock:
    """The time, as the test says."""

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
) -> Iterator[Smtp]:
    """Run a server, and give a provider that sends to it, with MAIL_URL's options."""
    with running(server):
        url = smtp_settings(server.url(options, user))
        smtp = Smtp(url, patience=PATIENCE, now=clock or Clock())
        try:
            yield smtp
        finally:
            smtp.close()


def outcomes(results: Sequence[Result]) -> list[str]:
    """Return what became of each, in a word."""
    return [result.outcome for result in results]


def reached(server: MailServer) -> list[str]:
    """Return whom the server took a message for, in order."""
    return [recipient for taken in server.taken for recipient in taken.recipients]


def parsed(content: bytes) -> EmailMessage:
    """Return a message as the standard library understands it."""
    return message_from_bytes(content, _class=EmailMessage, policy=default)
