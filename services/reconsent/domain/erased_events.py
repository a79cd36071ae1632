"""What stays of an event on the bus once what is personal in it is erased. RULES 28.

Each function returns the same event, in binary mode, without that. They raise BadInputError as
`read` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import from_json, to_json

from reconsent.domain.cloudevents import decoded, in_binary
from reconsent.domain.event import MailEvent
from reconsent.domain.event_hash import HASHED, hash_of_event, hashed_id
from reconsent.domain.mail_report import impersonal
from reconsent.domain.message_names import hashed_address, mailbox_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from reconsent.domain.bus import Message


def without_person(message: Message, keyed_hash: Callable[[str], bytes]) -> Message:
    """Return a choice without its evidence, source and id.

    A keyed hash takes the place of source and id.
    """
    return _without(message, {"evidence"}, {}, keyed_hash)


def without_address(message: Message) -> Message:
    """Return an account event without name and address."""
    return _without(message, {"email", "name"}, {})


def without_reason(message: Message, keyed_hash: Callable[[str], bytes]) -> Message:
    """Return a report without anything personal: what it says about the mailbox stays.

    Keyed hashes take the places of ids, and of the address if it names no notice.
    """
    data = decoded(message)[2].data
    if not isinstance(data, MailEvent):
        return message
    mailbox = data.email if data.notice is None else None
    said = {
        "reason": impersonal(data.event, data.reason),
        "provider_id": hashed_id(data.provider_id, keyed_hash),
        "email": hashed_address(mailbox_of(mailbox, keyed_hash)) if mailbox else None,
    }
    instead = {name: text for name, text in said.items() if text is not None}
    return _without(message, said.keys(), instead, keyed_hash)


def _without(
    message: Message,
    fields: Collection[str],
    instead: Mapping[str, str],
    keyed_hash: Callable[[str], bytes] | None = None,
) -> Message:
    topic, envelope, _ = decoded(message)
    if keyed_hash:
        event_hash = hash_of_event(envelope.source, envelope.id, keyed_hash)
        envelope = envelope._replace(source=HASHED, id=event_hash.hex())
    data = {
        name: value
        for name, value in from_json(topic.readable(envelope.data or b"{}")).items()
        if name not in fields
    }
    erased = envelope._replace(data=to_json(data | dict(instead)))
    return in_binary(topic, erased, message)
