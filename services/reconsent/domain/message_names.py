"""What a message of the bus names, whatever its key says: accounts, notices, addresses. RULES 28.

It is looked for in messages that nobody can read, too. Addresses are given as keyed hashes.
"""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from reconsent.domain.address import UnusableAddressError, usable_address
from reconsent.domain.surrogates import with_nul

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HASHED: Final = re.compile(r"([0-9a-f]{64})@hashed\.invalid")
# What may be an address in a text; `usable_address` judges.
_BETWEEN: Final = r"\s@\"'<>()\[\]{},;:\\"
_MAY_BEGIN_AFTER: Final = "=|/&?#`*!~$%^"
_LIKE_AN_ADDRESS: Final = re.compile(
    rf"([^{_BETWEEN}]+)@([^{_BETWEEN}{re.escape(_MAY_BEGIN_AFTER)}+]+)"
)
_AFTER_A_DOMAIN: Final = re.compile(r"[\W_]+\Z")
_LONGEST_TAIL: Final = 256


def hashed_address(mailbox: bytes) -> str:
    """Return the replacement of an address whose keyed hash alone is kept."""
    return f"{mailbox.hex()}@hashed.invalid"


def mailbox_of(email: str, address_hash: Callable[[str], bytes]) -> bytes:
    """Return the keyed hash of an address, which may have been replaced by it."""
    hashed = _HASHED.fullmatch(email)
    return bytes.fromhex(hashed[1]) if hashed else address_hash(email)


def names_of(value: bytes, address_hash: Callable[[str], bytes]) -> set[bytes]:
    """Return what a message's value names, in the form of keys, and the hashes of addresses."""
    return set(_names(_read(value), address_hash))


def _read(data: bytes) -> list[Any]:
    """Return what JSON says; of what is not valid, its beginning and all of it as a text."""
    data = with_nul(data)
    try:
        return [from_json(data)]
    except ValueError:
        text = data.decode(errors="replace")
    try:
        return [from_json(data, allow_partial="trailing-strings"), text]
    except ValueError:
        return [text]


def _names(found: Any, address_hash: Callable[[str], bytes]) -> Iterator[bytes]:  # noqa: ANN401 -- JSON
    # A stack, because JSON can be nested deeply.
    left = [found]
    while left:
        match left.pop():
            case str(text):
                yield from _addresses(text, address_hash)
            case list(items):
                left += items
            case dict(fields):
                yield from _keys(fields)
                left += [*fields, *fields.values()]
                if isinstance(encoded := fields.get("data_base64"), str):
                    left += _decoded(encoded)


def _keys(fields: dict[str, Any]) -> Iterator[bytes]:
    match fields:
        case {"property": str(property_name), "account": str(account)}:
            yield f"{property_name}/{account}".encode(errors="replace")
    match fields:
        case {"notice": str(notice)}:
            yield notice.encode(errors="replace")


def _decoded(encoded: str) -> list[Any]:
    try:
        return _read(b64decode(encoded))
    except ValueError:
        return []


def _addresses(text: str, address_hash: Callable[[str], bytes]) -> Iterator[bytes]:
    if "@" not in text:
        return
    for given in {text, *_like_addresses(text)}:
        with suppress(UnusableAddressError):
            yield mailbox_of(usable_address(given), address_hash)


def _like_addresses(text: str) -> Iterator[str]:
    """Return what may be addresses in a text, which may write something right before or after."""
    for before, after in _LIKE_AN_ADDRESS.findall(text):
        domain = _AFTER_A_DOMAIN.sub("", after)
        yield f"{before.strip('.')}@{domain}"
        tail = before[-_LONGEST_TAIL:]
        for at, character in enumerate(tail):
            if character in _MAY_BEGIN_AFTER:
                yield f"{tail[at + 1 :].strip('.')}@{domain}"
