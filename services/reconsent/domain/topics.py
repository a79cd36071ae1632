"""The topics of a Kafka, declared once: what they are for, how they are cut and how long they keep.

`reconsent topics create` makes them so, and schemas/asyncapi.yaml tells others of them. What comes
in keeps the time its sender gave it, for a tombstone says when by nothing else; all others keep the
broker's, so that what waited long before it was sent is not thrown away as too old at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from reconsent.domain.bus import DEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["input", "output", "dead letters"]

PARTITIONS: Final = 12
LARGEST_MESSAGE: Final = 8 * 1024 * 1024
_WEEK: Final = timedelta(days=7)
_MONTH: Final = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class TopicLayout:
    """How one topic lies in Kafka. `retention` is None where everything is kept."""

    name: str
    role: Role
    about: str
    singular: str
    key: str
    partitions: int = PARTITIONS
    retention: timedelta | None = _WEEK
    compacted: bool = False

    @property
    def type(self) -> str:
        """The CloudEvents type of its messages."""
        return f"reconsent.{self.singular}.v1"

    @property
    def config(self) -> dict[str, str]:
        """Its settings, by Kafka's names."""
        kept = -1 if self.retention is None else int(self.retention.total_seconds() * 1000)
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(kept),
            "max.message.bytes": str(LARGEST_MESSAGE),
            "message.timestamp.type": "CreateTime" if self.role == "input" else "LogAppendTime",
        }


_ACCOUNT: Final = "PROPERTY/ACCOUNT"
_INPUTS: Final = (
    TopicLayout(
        name="policy-versions",
        role="input",
        about="Published versions of policies.",
        singular="policy-version",
        key="the policy's name",
        # Few, and worth having for ever.
        partitions=1,
        retention=None,
    ),
    TopicLayout(
        name="accounts",
        role="input",
        about="Accounts, whole, as they are from a time on; null deletes one.",
        singular="account",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="collections",
        role="input",
        about="Data of a category was collected of an account, or erased.",
        singular="collection",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="choices",
        role="input",
        about="What people said about uses of their data.",
        singular="choice",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="mail-events",
        role="input",
        about="What became of the notices' mails.",
        singular="mail-event",
        key="the notice",
    ),
)
_OUTPUTS: Final = (
    TopicLayout(
        name="notices",
        role="output",
        about="Notices, each time their state changed.",
        singular="notice",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="consents",
        role="output",
        about="The ledger's entries.",
        singular="consent",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="permissions",
        role="output",
        about="What each account's data may be used for, whole; null where it is erased.",
        singular="permission",
        key=_ACCOUNT,
        retention=None,
        compacted=True,
    ),
    TopicLayout(
        name="unsubscribes",
        role="output",
        about="Who wants no more optional mail.",
        singular="unsubscribe",
        key=_ACCOUNT,
    ),
)


def _dead(of: TopicLayout) -> TopicLayout:
    """Lay out a topic's dead letters."""
    return TopicLayout(
        name=of.name + DEAD,
        role="dead letters",
        about=f"What came on {of.name} and could not be used, with headers that say why.",
        singular=of.singular,
        key="as it came",
        partitions=1,
        retention=_MONTH,
    )


LAYOUTS: Final[Mapping[str, TopicLayout]] = {
    layout.name: layout for layout in (*_INPUTS, *_OUTPUTS, *(_dead(of) for of in _INPUTS))
}
