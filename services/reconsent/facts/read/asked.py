"""What is behind a link: the notice that it names, its account, and what its page showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconsent.facts.notice_ids import account_of
from reconsent.facts.sets import as_ask
from reconsent.store.named import named
from reconsent.store.rows import one_row

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.use import Use
    from reconsent.store.postgres import Connection

SQL = named("read/asked")


@dataclass(frozen=True, kw_only=True)
class ChoiceNotice:
    """A choice notice that can still be answered, with its account."""

    ask_id: int
    accepted_at: datetime | None
    account_key: int
    property: str
    account: str
    locale: str | None
    time_zone: str | None
    holdings_id: int
    standing_id: int


@dataclass(frozen=True, kw_only=True)
class OptionalMail:
    """The account that an optional mail went to, its property, and its reader's locale.

    `unsubscribed`: they left optional mail; `opted_in`: they have asked for it since they left, or
    their account's system says that they did; `reachable`: nothing else stops such mail to them.
    """

    account_key: int
    property: str
    locale: str | None
    unsubscribed: bool
    opted_in: bool
    reachable: bool


@dataclass(frozen=True, kw_only=True)
class ShownQuestions:
    """What a page asked, in the words of a version; its text is stored by its hash."""

    uses: frozenset[Use]
    version_id: int
    text_hash: str


@dataclass(frozen=True, kw_only=True)
class _Shown:
    members: list[Any]
    version_id: int


def choice_notice(
    connection: Connection, notice_id: UUID, *, lock: bool = False
) -> ChoiceNotice | None:
    """Read a choice notice, None if its link does not work; `lock` locks its account."""
    account_key = account_of(connection, notice_id)
    if account_key is None:
        return None
    wanted = {"account_key": account_key, "notice_id": notice_id}
    if lock:
        connection.execute(SQL["lock_account"], wanted)
    return one_row(connection, ChoiceNotice, SQL["choice_notice"], wanted)


def optional_mail(connection: Connection, notice_id: UUID) -> OptionalMail | None:
    """Read what an unsubscribe link is about; None if it does not work."""
    account_key = account_of(connection, notice_id)
    if account_key is None:
        return None
    wanted = {"account_key": account_key, "notice_id": notice_id}
    return one_row(connection, OptionalMail, SQL["optional_mail"], wanted)


def shown_questions(
    connection: Connection, property_name: str, text_hash: str
) -> ShownQuestions | None:
    """Read what the page with a hash asked; None if the property has not shown it."""
    wanted = {"rendering": text_hash, "property": property_name}
    found = one_row(connection, _Shown, SQL["shown_questions"], wanted)
    if found is None:
        return None
    uses = as_ask(found.members)
    return ShownQuestions(uses=uses, version_id=found.version_id, text_hash=text_hash)
