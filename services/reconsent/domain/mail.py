"""Mail as it is handed to a provider: one mail for all who are asked the same."""

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
"""Stands in text and HTML where each person's own choose link belongs."""
UNSUBSCRIBE_LINK: Final = "%unsubscribe_link%"
"""Stands in optional mail where each person's own link to leave it belongs."""


@dataclass(frozen=True, kw_only=True)
class RenderedMail:
    """A mail's words for all who share them; `template_hash` names the templates used."""

    subject: str
    text: str
    html: str
    locale: str
    template_hash: str


@dataclass(frozen=True, kw_only=True)
class Mail:
    """What everyone in a request gets; `link_mark` stands where each one's own link goes.

    `sender` is an address, with or without a name. A mail with a `list_name` is optional,
    and people may leave that list; the link is where they do.
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
    """Who gets a mail; `notice` is opaque, `link` their own and empty where there is none."""

    notice: str
    email: str
    name: str | None
    link: str


class Result(NamedTuple):
    """What became of one recipient's message; the reason in the provider's words.

    A retry may name the time before which it is pointless.
    """

    outcome: Outcome
    reason: str | None = None
    not_before: datetime | None = None


class Provider(Protocol):
    """What takes mail to people."""

    name: str
    at_most: int
    """How many recipients one request may have."""
    together: bool
    """Whether one request takes that many about as quickly as a few."""
    repeats_safely: bool
    """Whether handing the same notice over again leaves one message, not two."""
    rests_until: datetime | None
    """Before this time it takes nothing at all, as it has said; None where it has not."""

    def send(self, mail: Mail, recipients: Sequence[Recipient]) -> Sequence[Result]:
        """Hand a mail over for up to `at_most` recipients; one result each, in their order.

        Raises OutsideError where nothing at all was accepted and trying again is safe.
        """
