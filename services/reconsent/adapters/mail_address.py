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
_LONGEST_ADDRESS: Final = 254
_LONGEST_NAME: Final = 120


class UnusableAddressError(ValueError):
    """No mail can go to this address; the message says why, without repeating the address."""


def postal_address(email: str) -> str:
    """Return an address in ASCII, its domain encoded where it needs to be.

    Raises UnusableAddressError where mail systems in general would not take it.
    """
    local, at, domain = email.strip().rpartition("@")
    if not at or not local:
        raise UnusableAddressError("the address has no @ with something before it")
    if not local.isascii():
        raise UnusableAddressError("the address has letters outside ASCII before its @")
    if not domain.isascii():
        try:
            # Python's own codec follows the rules of 2003: ß would be somebody else's ss.
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise UnusableAddressError("the address's domain is no domain name") from error
    if not _LOCAL_PART.fullmatch(local):
        raise UnusableAddressError("the address has signs before its @ that don't belong there")
    if not _DOMAIN.fullmatch(domain):
        raise UnusableAddressError("the address's domain is no domain name")
    address = f"{local}@{domain}"
    if len(address) > _LONGEST_ADDRESS:
        raise UnusableAddressError("the address is longer than 254 letters")
    return address


def sender_parts(sender: str) -> tuple[str, str]:
    """Return name and address of `Name <address>`; raises BadInputError where there is none."""
    name, email = parseaddr(sender)
    try:
        return display_name(name), postal_address(email)
    except UnusableAddressError as error:
        raise BadInputError(f"MAIL_FROM: {sender!r}: {error}") from error


def display_name(name: str | None) -> str:
    """Return a name fit for a header: one line without control signs, at most 120 letters."""
    if not name:
        return ""
    if not name.isprintable():
        # Invisible signs, such as those that turn the direction of writing, leave no gap.
        name = "".join(
            letter if letter.isprintable() else "" if unicodedata.category(letter) == "Cf" else " "
            for letter in name
        )
    return " ".join(name.split())[:_LONGEST_NAME].rstrip()
