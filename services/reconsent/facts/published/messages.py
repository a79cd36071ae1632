"""Published items as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.bus import Message
from reconsent.domain.topics import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconsent.facts.published.record import Published
    from reconsent.facts.published.state import Item

_JSON: Final = (("content-type", b"application/json"),)


def messages(
    topic: str,
    source: str,
    items: Iterable[Item],
    published: Mapping[Any, Published],
    now: datetime,
) -> list[Message]:
    """Return the messages about those items that are to be published, as CloudEvents."""
    common_headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", LAYOUTS[topic].type.encode()),
        ("ce_source", source.encode()),
        ("ce_time", now.isoformat().encode()),
    )
    found = []
    for item in items:
        state = published.get(item.id)
        if state is None:
            continue
        key = f"{item.property}/{item.account}".encode()
        own_headers = ("ce_id", state.event_id(item).encode()), ("ce_subject", key)
        content_type = () if item.value is None else _JSON
        headers = common_headers + own_headers + content_type
        found.append(Message(topic, key, item.value, headers, now))
    return found
