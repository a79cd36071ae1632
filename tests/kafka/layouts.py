"""Topics for tests whose events have arbitrary times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override

from reconsent.domain.topics import LAYOUTS, TopicLayout


@dataclass(frozen=True, kw_only=True)
class _OfAnyTime(TopicLayout):
    """A topic that has its senders' times, accepts any, and keeps everything."""

    @property
    @override
    def config(self) -> dict[str, str]:
        theirs = {"message.timestamp.type": "CreateTime"}
        for_ever = {"message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}
        return super().config | theirs | for_ever


def of_any_time(names: Iterable[str], partitions: int) -> list[TopicLayout]:
    """Return layouts that keep messages of any time."""
    return [_OfAnyTime(**vars(LAYOUTS[name]) | {"partitions": partitions}) for name in names]
