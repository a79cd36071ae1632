"""Models of the data on each output topic.

A later minor version may add fields; readers ignore unknown ones.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from reconsent.domain.consent import EventState
from reconsent.domain.notice import Settled, State

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Published(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AskedUse(_Published):
    """One new use that a notice asks about; an unknown version is null."""

    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str


class NoticeEvent(_Published):
    """One account's notice of one version, in its current state."""

    notice: UUID
    property: str
    account: str
    policy: str
    policy_version: str
    sequence: int
    kind: Literal["choice", "information", "reminder"]
    state: State
    suppression: str | None
    settled: Settled | None
    asks: tuple[AskedUse, ...]


class ConsentEvent(_Published):
    """One entry of an account's ledger, with what became of it; `*` means any."""

    event_state: EventState
    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str
    policy_version: str | None
    channel: str | None
    notice: UUID | None
    text_hash: str | None
    decided_at: datetime
    recorded_at: datetime


class AllowedUse(_Published):
    """A use that is allowed from a time on, with everything it covers."""

    data_category: str
    data_use: str
    recipient: str
    since: datetime = Field(alias="from")


class HeldData(_Published):
    """Data of a category, collected under a version (null: unknown), and what it may be used for.

    A use that is neither listed nor covered by a listed one is denied.
    """

    data_category: str
    collected_under: str | None
    allowed: tuple[AllowedUse, ...]


class PermissionEvent(_Published):
    """Everything that one account's data may be used for."""

    property: str
    account: str
    permissions: tuple[HeldData, ...]


class UnsubscribeEvent(_Published):
    """An account's owner wants no more optional mail; this says nothing about the use of data."""

    property: str
    account: str
    reason: Literal["unsubscribed", "complained"]
    channel: Literal["page", "one_click", "provider"]
    occurred_at: datetime


PUBLISHED: Final[Mapping[str, type[BaseModel]]] = {
    "notices": NoticeEvent,
    "consents": ConsentEvent,
    "permissions": PermissionEvent,
    "unsubscribes": UnsubscribeEvent,
}
"""The model of each topic's data."""
