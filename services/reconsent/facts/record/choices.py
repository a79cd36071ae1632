"""Recording choices: from the page, the stream and imports alike. RULES 17."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from reconsent.domain.account import AccountName
from reconsent.domain.recorded import Counts
from reconsent.domain.use import ANY, Use
from reconsent.facts.record.accounts import lock_accounts
from reconsent.facts.record.evidence import add_evidence, forget_evidence
from reconsent.facts.record.standings import refresh_standings
from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from reconsent.domain.consent import Answer
    from reconsent.domain.event import ChoiceEvent
    from reconsent.facts.record.accounts import Known
    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("record/choices")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision of a person, identified within its account by the hash of its event, and item.

    `stated_at` is the time that was stated, if the decision counts from an earlier one.
    """

    name: AccountName
    answer: Answer
    use: Use
    decided_at: datetime
    event_hash: bytes
    item: int = 0
    policy_version: str | None = None
    channel: str | None = None
    notice_id: UUID | None = None
    text_hash: str | None = None
    evidence: Any = None
    stated_at: datetime | None = None


class _Added(NamedTuple):
    """An entry that is new in the ledger."""

    account_key: int
    entry: int
    event_hash: bytes
    item: int

    @property
    def identity(self) -> tuple[int, bytes, int]:
        """What tells the choice from all others."""
        return self.account_key, self.event_hash, self.item


def as_choice(event: ChoiceEvent, event_hash: bytes) -> Choice:
    """Convert a streamed or imported choice; ANY is what it leaves out."""
    return Choice(
        name=AccountName(event.property, event.account),
        answer=event.answer,
        use=Use(
            event.data_category or ANY,
            event.collected_under or ANY,
            event.data_use,
            event.recipient or ANY,
        ),
        decided_at=event.decided_at,
        event_hash=event_hash,
        policy_version=event.policy_version,
        channel=event.channel,
        evidence=event.evidence,
        stated_at=event.stated_at,
    )


def record_choices(connection: Connection, choices: Sequence[Choice], policies: Policies) -> Counts:
    """Add choices to the ledger, and refresh the accounts' standing decisions."""
    known = lock_accounts(connection, (choice.name for choice in choices))
    added = all_rows(connection, _Added, SQL["add"], _columns(choices, known))
    evidence = {
        (known[choice.name].key, choice.event_hash, choice.item): choice.evidence
        for choice in choices
        if choice.evidence is not None
    }
    add_evidence(
        connection,
        [
            (row.account_key, row.entry, evidence[row.identity])
            for row in added
            if row.identity in evidence
        ],
    )
    touched = sorted({row.account_key for row in added})
    deleted = {account.key for account in known.values() if account.profile.deleted_at}
    # An earlier copy may tell that what is known counts from before a deletion.
    forget_evidence(connection, [key for key in touched if key in deleted])
    refresh_standings(connection, touched, policies)
    return Counts(new=len(added), unchanged=len(choices) - len(added))


def _columns(choices: Sequence[Choice], known: Mapping[AccountName, Known]) -> dict[str, list[Any]]:
    return {
        "account_key": [known[choice.name].key for choice in choices],
        "answer": [choice.answer for choice in choices],
        "data_category": [choice.use.data_category for choice in choices],
        "collected_under": [choice.use.collected_under for choice in choices],
        "data_use": [choice.use.data_use for choice in choices],
        "recipient": [choice.use.recipient for choice in choices],
        "policy_version": [choice.policy_version for choice in choices],
        "channel": [choice.channel for choice in choices],
        "notice_id": [choice.notice_id for choice in choices],
        "text_hash": [choice.text_hash for choice in choices],
        "decided_at": [choice.decided_at for choice in choices],
        "stated_at": [choice.stated_at for choice in choices],
        "event_hash": [choice.event_hash for choice in choices],
        "item": [choice.item for choice in choices],
        "early": [choice.event_hash for choice in choices if choice.stated_at],
    }
