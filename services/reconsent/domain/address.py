"""Addresses: which of them can get mail, and which are one mailbox. RULES 15.

One judgement, made when an address comes in: what was kept is never refused for its form when mail
is sent, by any provider.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import idna

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_NAME: Final = r"(?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What every mail system takes: a dotted name at a name of the DNS.
_USABLE: Final = re.compile(
    rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:[A-Za-z0-9]{_NAME}\.)+[A-Za-z]{_NAME}"
)
_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Characters without a width that come along when an address is copied. The two that turn the text
# around are not among them: with these, nobody can say what address was meant.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202c\u2060-\u2064\u2066-\u2069\ufeff]"
)
# Invisible too, but in domains of some languages they tell one name from another.
_JOINERS: Final = re.compile("[\u200c\u200d]")
_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200c\u200d"
_REPLACED: Final = "\ufffd"
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_ADDRESS: Final = 254
_LONGEST_GIVEN: Final = 1000


class UnusableAddressError(ValueError):
    """No mail can be sent to this address; the message says why, without repeating the address."""


def usable_address(given: str) -> str:
    """Return an address as it is kept: without blanks around it and invisible characters.

    Raises UnusableAddressError if no mail can be sent to it.
    """
    if len(given) <= _LONGEST_ADDRESS and _USABLE.fullmatch(given):
        return given
    if len(given) > _LONGEST_GIVEN:
        raise UnusableAddressError("the address is longer than 254 bytes")
    cleaned = _cleaned(given)
    local, _, domain = international_address(cleaned).rpartition("@")
    if not _USABLE.fullmatch(f"{_in_ascii(local)}@{domain}"):
        raise UnusableAddressError("the address is not of the form name@example.com")
    return cleaned


def ascii_address(email: str) -> str:
    """Return an address in ASCII, its domain encoded where it needs to be.

    Raises UnusableAddressError if mail systems in general would reject it.
    """
    local, domain = _parts(email)
    if not local.isascii():
        raise UnusableAddressError("the address has non-ASCII characters before its @")
    return _checked(local, domain)


def international_address(email: str) -> str:
    """Return an address as `ascii_address` does, but allow non-ASCII characters before its @.

    Only mail systems with SMTPUTF8 (RFC 6531) accept such an address.
    """
    local, domain = _parts(email)
    return _checked(unicodedata.normalize("NFC", local), domain)


def postal_form(email: str) -> str:
    """Return the one spelling of an address by which mailboxes are compared.

    The domain is in ASCII (IDNA 2008) and lower case. Before the @, case and the ways to compose a
    character do not count; ß is not ss.
    """
    if email.isascii():
        return email.lower()
    local, at, domain = email.rpartition("@")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    return local + at + (domain_name(domain) or domain).lower()


def domain_name(text: str) -> str | None:
    """Return a domain in the ASCII form used in DNS; None if it is not a valid domain name."""
    if not text.isascii():
        try:
            # Python's own codec follows IDNA 2003, which turns ß into ss: another domain.
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    return text if _DOMAIN.fullmatch(text) else None


def _cleaned(given: str) -> str:
    local, at, domain = _INVISIBLE.sub("", given).rpartition("@")
    domain = _without_stray_joiners(domain.rstrip(_BLANKS))
    return _JOINERS.sub("", local.lstrip(_BLANKS)) + at + domain


def _without_stray_joiners(domain: str) -> str:
    place = 0
    while found := _JOINERS.search(domain, place):
        place = found.start()
        if _joins(domain, place):
            place += 1
        else:
            domain = domain[:place] + domain[place + 1 :]
    return domain


def _joins(domain: str, place: int) -> bool:
    """Tell whether a joiner stands where IDNA gives it a meaning."""
    try:
        return idna.valid_contextj(domain, place)
    except ValueError:  # it stands after a character without a name
        return False


def _parts(email: str) -> tuple[str, str]:
    """Return an address's local part and its domain, in the ASCII form used in DNS."""
    if email.rstrip().endswith(">"):
        raise UnusableAddressError("the address should stand alone, without a name and < >")
    local, at, domain = email.strip().rpartition("@")
    if not at or not local:
        raise UnusableAddressError("the address has no @ with something before it")
    known = domain_name(domain)
    if known is None:
        raise UnusableAddressError("the domain of the address is not a valid domain name")
    return local, known


def _checked(local: str, domain: str) -> str:
    if not _LOCAL_PART.fullmatch(_in_ascii(local)) or len(local.encode()) > _LONGEST_LOCAL_PART:
        raise UnusableAddressError(
            "the address has characters before its @ that are not allowed there"
        )
    address = f"{local}@{domain}"
    if len(address.encode()) > _LONGEST_ADDRESS:
        raise UnusableAddressError("the address is longer than 254 bytes")
    return address


def _in_ascii(local: str) -> str:
    """Return a local part with a letter for each non-ASCII character that is allowed there."""
    if local.isascii():
        return local
    return "".join("x" if _is_foreign(character) else character for character in local)


def _is_foreign(character: str) -> bool:
    return not character.isascii() and character.isprintable() and character != _REPLACED
