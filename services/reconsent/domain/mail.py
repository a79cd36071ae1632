"""Mail as it is handed to a provider: one content, many recipients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Outcome = Literal["accepted", "rejected", "retry", "unknown"]
"""What became of one message: `retry` was certainly not accepted, `unknown` may have been."""

Delivery = Literal["at_most_once", "at_least_once"]
"""What becomes of a message whose outcome is never reported: it is given up, or sent again."""


CHOOSE_LINK: Final = "%choose_link%"
"""Placeholder in text and HTML for each person's own choose link."""
UNSUBSCRIBE_LINK: Final = "%unsubscribe_link%"
"""Placeholder in optional mail for each person's own unsubscribe link."""


@dataclass(frozen=True, kw_only=True)
class RenderedMail:
    """A mail's content, shared by many recipients; `template_hash` names the templates used."""

    subject: str
    text: str
    html: str
    locale: str
    template_hash: str


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What everyone in a request gets; `link_mark` is the placeholder for each one's own link.

    `sender` is an address, with or without a name. A mail with a `list_name` is optional: the
    link lets people leave that list.
    """

    sender: str
    subject: str
    text: str
    html: str
    locale: str
    link_mark: str
    list_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """Who gets a mail; `notice` is an opaque id, `link` their own link or empty."""

    notice: str
    email: str
    name: str | None
    link: str


class Result(NamedTuple):
    """What became of one recipient's message; the reason in the provider's words.

    A retry may name the time before which it is pointless. `mailbox`: a rejection speaks of the
    mailbox, as domain/mail_report.py judges, rather than of the mail or its sender.
    """

    outcome: Outcome
    reason: str | None = None
    not_before: datetime | None = None
    mailbox: bool = False


class Provider(Protocol):
    """Delivers mail to people."""

    name: str
    at_most: int
    """The most recipients of one request."""
    together: bool
    """Whether a request with that many takes about as long as one with a few."""
    repeats_safely: bool
    """Whether sending is idempotent: the same notice again leaves one message, not two."""
    rests_until: datetime | None
    """The provider asked for no requests before this time; None if it did not."""

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Send a mail to up to `at_most` recipients; return one result each, in their order.

        Raises OutsideError if nothing at all was accepted and a retry is safe.
        """
