"""A request to SendGrid's v3 API: one letter, and what is each recipient's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconsent.mail.address import display_name, one_line, sender_parts
from reconsent.mail.list_headers import list_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.domain.mail import Mail, Recipient
    from reconsent.mail.sendgrid.settings import Handling


@dataclass(frozen=True, kw_only=True)
class Addressed:
    """A recipient whose address is usable, and their place in the order asked for."""

    place: int
    recipient: Recipient
    address: str


def request_body(
    letter: Mail, addressed: Sequence[Addressed], handling: Handling
) -> dict[str, Any]:
    """Return the request that hands a letter over for some people."""
    linked = letter.link_mark and letter.link_mark in letter.text + letter.html
    clicks = handling.clicks
    body: dict[str, Any] = {
        "from": _sender(letter),
        "subject": _plain(letter.subject),
        "content": [
            {"type": "text/plain", "value": letter.text},
            {"type": "text/html", "value": letter.html},
        ],
        # Said even where it is off: otherwise the account's own settings would decide.
        "tracking_settings": {
            "click_tracking": {"enable": clicks, "enable_text": clicks},
            "open_tracking": {"enable": handling.opens},
            "subscription_tracking": {"enable": False},
        },
        "personalizations": [_personal(one, letter, linked=bool(linked)) for one in addressed],
    }
    if handling.categories:
        body["categories"] = list(handling.categories)
    # Whoever left the group is still owed what is owed: SendGrid would not deliver it.
    if handling.group is not None and letter.list_name is not None:
        body["asm"] = {"group_id": handling.group}
    return body


def _personal(one: Addressed, letter: Mail, *, linked: bool) -> dict[str, Any]:
    personal: dict[str, Any] = {
        "to": [_person(one.address, one.recipient.name)],
        # SendGrid keeps these long, and shows them around: nothing but the opaque id.
        "custom_args": {"reconsent_notice": one.recipient.notice},
        # All of them here: a personalization's headers stand instead of the message's.
        "headers": {
            "X-Reconsent-Notice": one.recipient.notice,
            "Auto-Submitted": "auto-generated",
            "Content-Language": letter.locale,
            # Substitutions are made in the text and the subject, not here.
            **list_headers(letter, one.recipient),
        },
    }
    if linked:
        personal["substitutions"] = {letter.link_mark: one.recipient.link}
    return personal


def _sender(letter: Mail) -> dict[str, str]:
    name, address = sender_parts(letter.sender)
    return _person(address, name)


def _person(address: str, name: str | None) -> dict[str, str]:
    # SendGrid takes ; and , in a name for the end of an address.
    cleaned = display_name(_plain((name or "").replace(";", " ").replace(",", " ")))
    return {"email": address, "name": cleaned} if cleaned else {"email": address}


def _plain(text: str) -> str:
    """Return a line that nobody takes for encoded words: how SendGrid encodes is up to it."""
    return one_line(text).replace("=?", "= ?")
