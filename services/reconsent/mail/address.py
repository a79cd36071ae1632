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
    """No mail can go to this address; the message says why, without repeating the address."""


def postal_address(email: str) -> str:
    """Return an address in ASCII, its domain encoded where it needs to be.

    Raises UnusableAddressError where mail systems in general would not take it.
    """
    local, domain = _parts(email)
    if not local.isascii():
        raise UnusableAddressError("the address has letters outside ASCII before its @")
    return _checked(local, domain)


def international_address(email: str) -> str:
    """Return an address as `postal_address`, though letters outside ASCII may stand before its @.

    Such an address is for mail systems that take it by SMTPUTF8 (RFC 6531) only.
    """
    local, domain = _parts(email)
    return _checked(unicodedata.normalize("NFC", local), domain)


def domain_name(text: str) -> str | None:
    """Return a domain as name servers know it; None where it is no domain name."""
    if not text.isascii():
        try:
            # Python's own codec follows the rules of 2003: ß would be somebody else's ss.
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return text if _DOMAIN.fullmatch(text) else None


def without_addresses(text: str) -> str:
    """Return what a mail system said as one line that may be kept: with nobody's address in it."""
    return _ANY_ADDRESS.sub("(address)", " ".join(text.split()))


def _parts(email: str) -> tuple[str, str]:
    """Return what stands before and after an address's @, the domain as name servers know it."""
    local, at, domain = email.strip().rpartition("@")
    if not at or not local:
        raise UnusableAddressError("the address has no @ with something before it")
    known = domain_name(domain)
    if known is None:
        raise UnusableAddressError("the address's domain is no domain name")
    return local, known


def _checked(local: str, domain: str) -> str:
    plain = local
    if not local.isascii():
        plain = "".join("x" if _is_foreign_letter(letter) else letter for letter in local)
    if not _LOCAL_PART.fullmatch(plain) or len(local.encode()) > _LONGEST_LOCAL_PART:
        raise UnusableAddressError("the address has signs before its @ that don't belong there")
    address = f"{local}@{domain}"
    if len(address.encode()) > _LONGEST_ADDRESS:
        raise UnusableAddressError("the address is longer than 254 letters")
    return address


def _is_foreign_letter(letter: str) -> bool:
    return not letter.isascii() and letter.isprintable()


def sender_parts(sender: str, setting: str = "MAIL_FROM") -> tuple[str, str]:
    """Return name and address of `Name <address>`.

    Raises BadInputError, which names the setting, where there is none.
    """
    name, email = parseaddr(sender)
    if not sender.strip().endswith((f"<{email}>", email)):
        # Of several, some versions of Python take the first.
        raise BadInputError(f"{setting}: {sender!r}: is no single address")
    try:
        return display_name(name), postal_address(email)
    except UnusableAddressError as error:
        raise BadInputError(f"{setting}: {sender!r}: {error}") from error


def display_name(name: str | None) -> str:
    """Return a name fit for a header: one line without control signs, at most 120 letters."""
    return one_line(name)[:_LONGEST_NAME].rstrip() if name else ""


def one_line(text: str) -> str:
    """Return a text without what could end a header, or make it say something else."""
    if not text.isprintable():
        # Invisible signs, such as those that turn the direction of writing, leave no gap.
        text = "".join(
            letter if letter.isprintable() else "" if unicodedata.category(letter) == "Cf" else " "
            for letter in text
        )
    return " ".join(text.split())
