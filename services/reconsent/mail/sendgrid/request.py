"""A request to SendGrid's v3 API: one mail, and what differs for each recipient."""

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
    """A recipient with a usable address; `place` is their position among all recipients."""

    place: int
    recipient: Recipient
    address: str


def request_body(mail: Mail, addressed: Sequence[Addressed], handling: Handling) -> dict[str, Any]:
    """Return the body of the request that sends a mail to some people."""
    linked = mail.link_mark and mail.link_mark in mail.text + mail.html
    clicks = handling.clicks
    body: dict[str, Any] = {
        "from": _sender(mail),
        "subject": _plain(mail.subject),
        "content": [
            {"type": "text/plain", "value": mail.text},
            {"type": "text/html", "value": mail.html},
        ],
        # Always stated: otherwise the settings of the SendGrid account would decide.
        "tracking_settings": {
            "click_tracking": {"enable": clicks, "enable_text": clicks},
            "open_tracking": {"enable": handling.opens},
            "subscription_tracking": {"enable": False},
        },
        "personalizations": [_personal(one, mail, linked=bool(linked)) for one in addressed],
    }
    if handling.categories:
        body["categories"] = list(handling.categories)
    # Optional mail only: SendGrid would drop mail that people who left the group must get.
    if handling.group is not None and mail.list_name is not None:
        body["asm"] = {"group_id": handling.group}
    return body


def _personal(one: Addressed, mail: Mail, *, linked: bool) -> dict[str, Any]:
    personal: dict[str, Any] = {
        "to": [_person(one.address, one.recipient.name)],
        # SendGrid keeps and shows these for long: nothing but the opaque id.
        "custom_args": {"reconsent_notice": one.recipient.notice},
        # All headers, because a personalization's headers replace those of the message.
        "headers": {
            "X-Reconsent-Notice": one.recipient.notice,
            "Auto-Submitted": "auto-generated",
            "Content-Language": mail.locale,
            # SendGrid makes substitutions in text and subject only, not in headers.
            **list_headers(mail, one.recipient),
        },
    }
    if linked:
        personal["substitutions"] = {mail.link_mark: one.recipient.link}
    return personal


def _sender(mail: Mail) -> dict[str, str]:
    name, address = sender_parts(mail.sender)
    return _person(address, name)


def _person(address: str, name: str | None) -> dict[str, str]:
    # SendGrid reads ; and , in a name as the end of an address.
    cleaned = display_name(_plain((name or "").replace(";", " ").replace(",", " ")))
    return {"email": address, "name": cleaned} if cleaned else {"email": address}


def _plain(text: str) -> str:
    """Return a line that cannot be read as encoded words: SendGrid does its own encoding."""
    return one_line(text).replace("=?", "= ?")
