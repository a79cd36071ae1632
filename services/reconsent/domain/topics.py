"""The Kafka topics: their purpose, partitions and retention.

`reconsent topics create` creates them, and schemas/asyncapi.yaml documents them. All have the
broker's timestamps: a fact counts no later than it came in (RULES 27), and retention would delete a
message at once if it had waited long before it was sent.
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
    """The settings of one topic in Kafka; `retention` None keeps everything."""

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
            "message.timestamp.type": "LogAppendTime",
        }


_ACCOUNT: Final = "PROPERTY/ACCOUNT"
_INPUTS: Final = (
    TopicLayout(
        name="policy-versions",
        role="input",
        about="Published versions of policies.",
        singular="policy-version",
        key="the policy's name",
        # Few, and worth keeping forever.
        partitions=1,
        retention=None,
    ),
    TopicLayout(
        name="accounts",
        role="input",
        about="Whole accounts as of a time; null deletes an account.",
        singular="account",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="collections",
        role="input",
        about="Data of a category was collected for an account, or erased.",
        singular="collection",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="choices",
        role="input",
        about="People's decisions about uses of their data.",
        singular="choice",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="mail-events",
        role="input",
        about="Providers' reports about the notices' mails.",
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
        about="The entries of the consent ledger.",
        singular="consent",
        key=_ACCOUNT,
    ),
    TopicLayout(
        name="permissions",
        role="output",
        about="Everything that each account's data may be used for; null once it is erased.",
        singular="permission",
        key=_ACCOUNT,
        retention=None,
        compacted=True,
    ),
    TopicLayout(
        name="unsubscribes",
        role="output",
        about="Accounts whose owners want no more optional mail.",
        singular="unsubscribe",
        key=_ACCOUNT,
    ),
)


def _dead(of: TopicLayout) -> TopicLayout:
    """Return the layout of a topic's dead letters."""
    return TopicLayout(
        name=of.name + DEAD,
        role="dead letters",
        about=f"Messages on {of.name} that could not be used, with headers that say why.",
        singular=of.singular,
        key="as received",
        partitions=1,
        retention=_MONTH,
    )


LAYOUTS: Final[Mapping[str, TopicLayout]] = {
    layout.name: layout for layout in (*_INPUTS, *_OUTPUTS, *(_dead(of) for of in _INPUTS))
}
