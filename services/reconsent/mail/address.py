"""Addresses and names as mail systems take them, whatever an account event said."""

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
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_ADDRESS: Final = 254
_LONGEST_NAME: Final = 120


class UnusableAddressError(ValueError):
    """No mail can be sent to this address; the message says why, without repeating the address."""


def postal_address(email: str) -> str:
    """Return an address in ASCII, its domain encoded where it needs to be.

    Raises UnusableAddressError where mail systems in general would not take it.
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
    """Return a domain as name servers know it; None where it is not a valid domain name."""
    if not text.isascii():
        try:
            # Python's own codec follows the rules of 2003: ß would be somebody else's ss.
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return text if _DOMAIN.fullmatch(text) else None


def without_addresses(text: str) -> str:
    """Return what a mail system said as one line without addresses, so that it may be kept."""
    return _ANY_ADDRESS.sub("(address)", " ".join(text.split()))


def _parts(email: str) -> tuple[str, str]:
    """Return what stands before and after an address's @, the domain as name servers know it."""
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

    Raises BadInputError, which names the setting, where there is none.
    """
    name, email = parseaddr(sender)
    if not sender.strip().endswith((f"<{email}>", email)):
        # Of several, some versions of Python take the first.
        raise BadInputError(f"{setting}: {sender!r} is not a single address")
    try:
        return display_name(name), postal_address(email)
    except UnusableAddressError as error:
        raise BadInputError(f"{setting}: {sender!r}: {error}") from error


def display_name(name: str | None) -> str:
    """Return a name fit for a header: one line, no control characters, at most 120 in all."""
    return one_line(name)[:_LONGEST_NAME].rstrip() if name else ""


def one_line(text: str) -> str:
    """Return a text without what could end a header, or make it say something else."""
    if not text.isprintable():
        # Invisible characters, such as those that change the direction of writing, leave no gap.
        text = "".join(
            character
            if character.isprintable()
            else ""
            if unicodedata.category(character) == "Cf"
            else " "
            for character in text
        )
    return " ".join(text.split())
