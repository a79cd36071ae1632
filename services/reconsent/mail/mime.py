"""A mail as the bytes of a message, built once for all recipients.

Only a recipient's address, notice and link are inserted for each. Both parts are quoted-printable:
their short ASCII lines pass any server, and the text is restored exactly. Soft line breaks put a
link on lines of its own, so that its length does not affect the bytes around it.
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from email.header import Header
from email.utils import format_datetime, quote
from typing import TYPE_CHECKING, Final

from reconsent.mail.address import display_name, one_line, sender_parts
from reconsent.mail.list_headers import list_headers

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.domain.mail import Mail, Recipient

_OPAQUE: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_LONGEST_LINE: Final = 76
# Neither occurs in quoted-printable text, where = is followed by hex digits or a line end only.
_BOUNDARY: Final = "=_reconsent"
_LINK: Final = b"\0"


class MimeMail:
    """A mail, dated once; `sender` is the address it comes from."""

    def __init__(self, mail: Mail, *, date: datetime) -> None:
        """Prepare what is the same for everyone. Raises ValueError if it cannot be sent."""
        name, address = sender_parts(mail.sender)
        self.sender = address
        self._mail = mail
        self._from = f"From: {_mailbox('From', name, address)}\n".encode("ascii")
        self._domain = address.rpartition("@")[2]
        headers = (
            f"Subject: {_words('Subject', one_line(mail.subject))}\n"
            f"Date: {format_datetime(date)}\n"
            f"Content-Language: {_token(mail.locale)}\n"
            "Auto-Submitted: auto-generated\n"
            "MIME-Version: 1.0\n"
            f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\n\n'
        )
        rest = b"".join(
            (
                headers.encode("ascii"),
                _part("plain", mail.text, mail.link_mark),
                _part("html", mail.html, mail.link_mark),
                f"--{_BOUNDARY}--\n".encode("ascii"),
            )
        )
        self._between_links = rest.split(_LINK)
        self._transmitted_between_links = [_transmitted(piece) for piece in self._between_links]

    def addressed(self, recipient: Recipient, address: str) -> bytes:
        """Return one recipient's message; lines end in LF.

        `address` is theirs as `ascii_address` or `international_address` returns it. With
        non-ASCII characters before its @ the header is in UTF-8; everything else is ASCII.
        """
        link = _link(recipient.link)
        return self._own(recipient, address) + link.join(self._between_links)

    def transmitted(self, recipient: Recipient, address: str) -> bytes:
        """Return the same message as SMTP transmits it, up to the dot that ends it.

        Lines end in CRLF, and a dot that begins a line is doubled.
        """
        link = _transmitted(_link(recipient.link))
        own = _transmitted(self._own(recipient, address))
        return own + link.join(self._transmitted_between_links)

    def _own(self, recipient: Recipient, address: str) -> bytes:
        """Return the headers that are the recipient's own, with From before them."""
        notice = _token(recipient.notice)
        own = (
            f"To: {_mailbox('To', display_name(recipient.name), address)}\n"
            f"Message-ID: <{notice}@{self._domain}>\n"
            f"X-Reconsent-Notice: {notice}\n"
        )
        listed = list_headers(self._mail, recipient)
        own += "".join(f"{header}: {value}\n" for header, value in listed.items())
        return self._from + own.encode()


def _transmitted(lines: bytes) -> bytes:
    """Return a piece of a message for SMTP. A piece either begins a line or has no dot first."""
    doubled = lines.replace(b"\n.", b"\n..")
    if doubled.startswith(b"."):
        doubled = b"." + doubled
    return doubled.replace(b"\n", b"\r\n")


def _token(text: str) -> str:
    """Return an identifier for a header unchanged; raises ValueError if it is not valid there."""
    if not _OPAQUE.fullmatch(text):
        message = f"{text!r} is not a plain identifier"
        raise ValueError(message)
    return text


def _link(url: str) -> bytes:
    """Return a link encoded for a part; raises ValueError if it is not one line."""
    if not url.isprintable():
        message = f"{url!r} is not a valid link"
        raise ValueError(message)
    return b2a_qp(url.encode())


def _part(subtype: str, text: str, link_mark: str) -> bytes:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    pieces = lines.split(link_mark) if link_mark else [lines]
    body = b"=\n\0=\n".join(b2a_qp(piece.encode()) for piece in pieces)
    head = (
        f"--{_BOUNDARY}\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\n'
        "Content-Transfer-Encoding: quoted-printable\n\n"
    )
    return head.encode("ascii") + body + b"\n"


def _mailbox(header: str, name: str, address: str) -> str:
    if not name:
        return address
    if _plain(name):
        return f'"{quote(name)}" <{address}>'
    return f"{_words(header, name)}\n <{address}>"


def _words(header: str, text: str) -> str:
    """Return a text for a header, folded; with encoded words if it is not plain ASCII.

    A word that is longer than a line can only be folded as encoded words.
    """
    foldable = all(len(word) < _LONGEST_LINE for word in text.split())
    charset = "us-ascii" if _plain(text) and foldable else "utf-8"
    return Header(text, charset, header_name=header, maxlinelen=_LONGEST_LINE).encode()


def _plain(text: str) -> bool:
    """Tell whether a text is ASCII and cannot be read as encoded words."""
    return text.isascii() and text.isprintable() and "=?" not in text
