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
    events: Sequence[tuple[int, AccountEvent, str | None]], address_hash: Callable[[str], bytes]
) -> bytes:
    """Write account events, with position and usable address, as rows of `incoming_accounts`.

    `alone`: the event is the only one of its account here and no reason to forget anything, so that
    an unknown account will be as the event says. `is_personal`: it contains more than a deletion.
    Then come the time that is stated, if the event counts from an earlier one, and when the address
    was verified and the person opted in.
    """
    times = Counter([(event.property, event.account) for _, event, _ in events])
    repeated = len(times) < len(events)
    rows = []
    for position, event, email in events:
        name, status, minor = event.name, event.status, event.minor
        hashed = rf"\\x{address_hash(email).hex()}" if email else _NULL
        columns = _columns(
            (event.property, event.account, email, name, event.locale, event.time_zone)
        )
        kept = status != "deleted"
        alone = kept and not minor
        if repeated:
            alone = alone and times[event.property, event.account] == 1
        is_personal = kept or event.given_email or name
        rows.append(
            f"{position}\t{columns}\t{status}\t{event.contact}\t{'t' if minor else 'f'}"
            f"\t{event.updated_at}\t{hashed}\t{'t' if alone else 'f'}"
            f"\t{'t' if is_personal else 'f'}\t{_stated(event)}"
            f"\t{event.verified() or _NULL}\t{event.opted_in() or _NULL}\n"
        )
    return "".join(rows).encode()


def collection_rows(events: Iterable[tuple[int, CollectionEvent]]) -> bytes:
    """Write collections and erasures, each with its position, as rows of `incoming_collections`."""
    rows = []
    for position, event in events:
        texts = (event.property, event.account, event.data_category, event.collected_under)
        rows.append(
            f"{position}\t{_columns(texts)}\t{event.source}\t{'t' if event.erased else 'f'}"
            f"\t{event.collected_at}\t{_stated(event)}\n"
        )
    return "".join(rows).encode()


def _stated(event: AccountEvent | CollectionEvent) -> object:
    return vars(event).get("stated_at") or _NULL


def _columns(texts: Sequence[str | None]) -> str:
    # All that has to be escaped is not printable, except the backslash.
    given = "".join(filter(None, texts))
    if given.isprintable() and "\\" not in given:
        return "\t".join([_NULL if text is None else text for text in texts])
    return "\t".join([_NULL if text is None else text.translate(_ESCAPED) for text in texts])
