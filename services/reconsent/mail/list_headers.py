"""The headers of optional mail, by which mail programs let people leave it at once.

RFC 8058: one POST to the link, made by the mail program, is enough. There is no mailto address,
because nobody would read it, and no List-Help or List-Owner, because there is no such page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from reconsent.domain.address import domain_name

if TYPE_CHECKING:
    from reconsent.domain.mail import Mail, Recipient

ONE_CLICK: Final = "List-Unsubscribe=One-Click"
"""The form field that a mail program posts (RFC 8058)."""

_LINK: Final = re.compile(r"https?://[!#-;=?-~]+")
_LONGEST_NAME: Final = 240


def list_headers(mail: Mail, recipient: Recipient) -> dict[str, str]:
    """Return the list headers of an optional mail; none for a mail that people must get.

    Raises ValueError if the recipient's link is not allowed in a header.
    """
    if mail.list_name is None:
        return {}
    if not _LINK.fullmatch(recipient.link):
        message = f"{recipient.link!r} is not a valid link for List-Unsubscribe"
        raise ValueError(message)
    headers = {
        "List-Unsubscribe": f"<{recipient.link}>",
        "List-Unsubscribe-Post": ONE_CLICK,
    }
    if name := _list_id(mail.list_name):
        headers["List-Id"] = f"<{name}>"
    return headers


def _list_id(name: str) -> str | None:
    """Return the id by which mail programs tell lists apart (RFC 2919), below the list's domain.

    None if the list is not named after a domain, because the id would not be unique.
    """
    domain = domain_name(name)
    if domain is None or "." not in domain or len(domain) > _LONGEST_NAME:
        return None
    return f"information.{domain.lower()}"
