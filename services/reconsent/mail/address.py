"""Senders, names and replies in forms that mail systems accept, or that are safe to store."""

from __future__ import annotations

import re
import unicodedata
from email.utils import parseaddr
from typing import Final

from reconsent.domain.address import UnusableAddressError, ascii_address
from reconsent.domain.errors import BadInputError
from reconsent.domain.surrogates import storable

_ANY_ADDRESS: Final = re.compile(r"[^\s\[\]<>\"']+@[^\s\[\]<>\"']+")
_LONGEST_NAME: Final = 120


def without_addresses(text: str) -> str:
    """Return a mail system's message as one line without addresses, safe to store."""
    return _ANY_ADDRESS.sub("(address)", storable(" ".join(text.split())))


def sender_parts(sender: str, setting: str = "MAIL_FROM") -> tuple[str, str]:
    """Return name and address of `Name <address>`.

    Raises BadInputError, which names the setting, if it is not a single valid address.
    """
    name, email = parseaddr(sender)
    if not sender.strip().endswith((f"<{email}>", email)):
        # Given several, some versions of Python return the first.
        raise BadInputError(f"{setting}: {sender!r} is not a single address")
    try:
        return display_name(name), ascii_address(email)
    except UnusableAddressError as error:
        raise BadInputError(f"{setting}: {sender!r}: {error}") from error


def display_name(name: str | None) -> str:
    """Return a name fit for a header: one line of at most 120 printable characters."""
    return one_line(name)[:_LONGEST_NAME].rstrip() if name else ""


def one_line(text: str) -> str:
    """Return a text as one line without control characters, which could end or alter a header."""
    if not text.isprintable():
        # Format characters, such as those for the direction of writing, are dropped without a gap.
        text = "".join(
            character
            if character.isprintable()
            else ""
            if unicodedata.category(character) == "Cf"
            else " "
            for character in text
        )
    return " ".join(text.split())
