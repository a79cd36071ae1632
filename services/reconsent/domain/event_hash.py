"""What identifies a choice within its account: a hash of its event. RULES 17, 28.

The source and id of an event may be personal, so they are hashed with a key. A deletion leaves the
hash in place of both, in messages too, where HASHED for a source says so.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HASHED: Final = "urn:reconsent:hashed"
_HASH: Final = re.compile("[0-9a-f]{64}")
_HASHED_ID: Final = re.compile("hashed:[0-9a-f]{32}")


def hash_of_event(source: str, event_id: str, keyed_hash: Callable[[str], bytes]) -> bytes:
    """Return the hash of an event; both parts may be personal."""
    if source == HASHED and _HASH.fullmatch(event_id):
        return bytes.fromhex(event_id)
    return keyed_hash(_digest(source, event_id).hex())


def hash_of_own(*parts: str | int | None) -> bytes:
    """Return the hash of what the program records itself; no part is personal."""
    return _digest("reconsent", *parts)


def hashed_id(given: str | None, keyed_hash: Callable[[str], bytes]) -> str | None:
    """Return what is kept of a provider's id of a report: such an id may contain an address.

    The hash of one that is hashed already is itself.
    """
    if given is None or _HASHED_ID.fullmatch(given):
        return given
    # Long ones were kept as their digests before.
    digest = given if _HASH.fullmatch(given) else hashlib.sha256(given.encode()).hexdigest()
    return f"hashed:{keyed_hash(digest).hex()[:32]}"


def _digest(*parts: str | int | None) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()
