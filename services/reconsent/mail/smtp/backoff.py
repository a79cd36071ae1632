"""When to retry a mail domain that temporarily rejects mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

FIRST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=1)
A_WHILE: Final = timedelta(minutes=15)
"""How long to wait for one mailbox (a full one) or one mail (a large one)."""
_IN_A_ROW: Final = 5
_MOST_DOMAINS: Final = 100_000


@dataclass(kw_only=True)
class _Trouble:
    until: datetime
    wait: timedelta
    in_a_row: int = 1


class Backoff:
    """Remembers temporary rejections by domain, as long as this process lives.

    The wait doubles, up to LONGEST, when a domain rejects mail again after it. Mail to the domain
    is held back only after several rejections in a row: a single one may concern one person.
    """

    def __init__(self) -> None:
        """Start without any rejections."""
        self._troubles: dict[str, _Trouble] = {}

    def left_alone_until(self, domain: str, now: datetime) -> datetime | None:
        """Return until when mail to a domain is held back; None if it is not."""
        trouble = self._troubles.get(domain)
        if trouble is None or trouble.in_a_row < _IN_A_ROW or now >= trouble.until:
            return None
        return trouble.until

    def refused(self, domain: str, now: datetime) -> datetime:
        """Record a temporary rejection; return when to retry."""
        trouble = self._troubles.get(domain)
        if trouble is None:
            if len(self._troubles) >= _MOST_DOMAINS:
                self._forget(now)
            self._troubles[domain] = trouble = _Trouble(until=now + FIRST, wait=FIRST)
        elif now < trouble.until:
            trouble.in_a_row += 1
        else:
            wait = min(trouble.wait * 2, LONGEST)
            self._troubles[domain] = trouble = _Trouble(until=now + wait, wait=wait)
        return trouble.until

    def accepted(self, domain: str) -> None:
        """Record that a domain accepted mail."""
        self._troubles.pop(domain, None)

    def _forget(self, now: datetime) -> None:
        """Make room: drop what is over, or everything if that is not enough."""
        waiting = {domain: t for domain, t in self._troubles.items() if now < t.until}
        self._troubles = waiting if len(waiting) < _MOST_DOMAINS else {}
