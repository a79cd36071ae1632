"""Events of accounts and collections as rows of text, in the format of PostgreSQL's COPY.

One text takes the place of many objects: it is written where events are read, perhaps in another
process, and staged as it is. A row begins with the position of its event.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reconsent.domain.event import AccountEvent, CollectionEvent

_NULL: Final = r"\N"
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def account_rows(
    events: Sequence[tuple[int, AccountEvent]], address_hash: Callable[[str], bytes]
) -> bytes:
    """Write account events, each with its position, as rows of `incoming_accounts`.

    `alone`: the event is the only one of its account here and no reason to forget anything, so that
    an unknown account will be as the event says. `is_personal`: it contains more than a deletion.
    """
    times = Counter((event.property, event.account) for _, event in events)
    repeated = len(times) < len(events)
    rows = []
    for position, event in events:
        email, status, minor = event.email, event.status, event.minor
        once = not repeated or times[event.property, event.account] == 1
        alone = once and status != "deleted" and not minor
        is_personal = status != "deleted" or bool(event.given_email or event.name)
        hashed = rf"\\x{address_hash(email).hex()}" if email else _NULL
        texts = (event.property, event.account, email, event.name, event.locale, event.time_zone)
        rows.append(
            f"{position}\t{_columns(texts)}\t{status}\t{event.contact}\t{_bool(minor)}"
            f"\t{event.updated_at}\t{hashed}\t{_bool(alone)}\t{_bool(is_personal)}\n"
        )
    return "".join(rows).encode()


def collection_rows(events: Iterable[tuple[int, CollectionEvent]]) -> bytes:
    """Write collections and erasures, each with its position, as rows of `incoming_collections`."""
    rows = []
    for position, event in events:
        texts = (event.property, event.account, event.data_category, event.collected_under)
        rows.append(
            f"{position}\t{_columns(texts)}\t{event.source}\t{_bool(event.erased)}"
            f"\t{event.collected_at}\n"
        )
    return "".join(rows).encode()


def _columns(texts: Sequence[str | None]) -> str:
    # All that has to be escaped is not printable, except the backslash.
    given = "".join(filter(None, texts))
    if given.isprintable() and "\\" not in given:
        return "\t".join([_NULL if text is None else text for text in texts])
    return "\t".join([_NULL if text is None else text.translate(_ESCAPED) for text in texts])


def _bool(value: bool) -> str:  # noqa: FBT001 -- a column
    return "t" if value else "f"
