"""Addresses and names in forms that mail systems accept."""

from __future__ import annotations

import re
import unicodedata
from email.utils import parseaddr
from typing import Final

import idna

from reconsent.domain.errors import BadInputError

_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_ANY_ADDRESS: Final = re.compile(r"[^\s\[\]<>\"']+@[^\s\[\]<>\"']+")
# PostgreSQL stores neither NUL nor lone surrogates.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_ADDRESS: Final = 254
_LONGEST_NAME: Final = 120


class UnusableAddressError(ValueError):
    """No mail can be sent to this address; the message says why, without repeating the address."""


def postal_address(email: str) -> str:
    """Return an address in ASCII, its domain encoded where it needs to be.

    Raises UnusableAddressError if mail systems in general would reject it.
    """
    local, domain = _parts(email)
    if not local.isascii():
        raise UnusableAddressError("the address has non-ASCII characters before its @")
    return _checked(local, domain)


def international_address(email: str) -> str:
    """Return an address as `postal_address` does, but allow non-ASCII characters before its @.

    Only mail systems with SMTPUTF8 (RFC 6531) accept such an address.
    """
    local, domain = _parts(email)
    return _checked(unicodedata.normalize("NFC", local), domain)


def domain_name(text: str) -> str | None:
    """Return a domain in the ASCII form used in DNS; None if it is not a valid domain name."""
    if not text.isascii():
        try:
            # Python's own codec follows IDNA 2003, which turns ß into ss: another domain.
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return text if _DOMAIN.fullmatch(text) else None


def without_addresses(text: str) -> str:
    """Return a mail system's message as one line without addresses, safe to store."""
    storable = _UNSTORABLE.sub("\ufffd", " ".join(text.split()))
    return _ANY_ADDRESS.sub("(address)", storable)


def _parts(email: str) -> tuple[str, str]:
    """Return an address's local part and its domain, in the ASCII form used in DNS."""
    local, at, domain = email.strip().rpartition("@")
    if not at or not local:
        raise UnusableAddressError("the address has no @ with something before it")
    known = domain_name(domain)
    if known is None:
        raise UnusableAddressError("the domain of the address is not a valid domain name")
    return local, known


def _checked(local: str, domain: str) -> str:
    plain = local
    if not local.isascii():
        plain = "".join("x" if _is_foreign(character) else character for character in local)
    if not _LOCAL_PART.fullmatch(plain) or len(local.encode()) > _LONGEST_LOCAL_PART:
        raise UnusableAddressError(
            "the address has characters before its @ that are not allowed there"
        )
    address = f"{local}@{domain}"
    if len(address.encode()) > _LONGEST_ADDRESS:
        raise UnusableAddressError("the address is longer than 254 characters")
    return address


def _is_foreign(character: str) -> bool:
    return not character.isascii() and character.isprintable()


def sender_parts(sender: str, setting: str = "MAIL_FROM") -> tuple[str, str]:
    """Return name and address of `Name <address>`.

    Raises BadInputError, which names the setting, if it is not a single valid address.
    """
    name, email = parseaddr(sender)
    if not sender.strip().endswith((f"<{email}>", email)):
        # Given several, some versions of Python return the first.
        raise BadInputError(f"{setting}: {sender!r} is not a single address")
    try:
        return display_name(name), postal_address(email)
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
