"""When to try a mail domain again that refuses mail for now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

FIRST: Final = timedelta(minutes=1)
LONGEST: Final = timedelta(hours=1)
A_WHILE: Final = timedelta(minutes=15)
"""How long to wait for one mailbox (a full one) or with one mail (a large one)."""
_IN_A_ROW: Final = 5
_MOST_DOMAINS: Final = 100_000


@dataclass(kw_only=True)
class _Trouble:
    until: datetime
    wait: timedelta
    in_a_row: int = 1


class Backoff:
    """Remembers which domains refused for now, for as long as this process lives.

    The wait doubles, up to LONGEST, when a domain refuses again after it. During it the domain is
    left alone once several refused in a row: one alone may have been about one person.
    """

    def __init__(self) -> None:
        """Know of no trouble."""
        self._troubles: dict[str, _Trouble] = {}

    def left_alone_until(self, domain: str, now: datetime) -> datetime | None:
        """Return until when nothing is to be tried at a domain; None where it may be."""
        trouble = self._troubles.get(domain)
        if trouble is None or trouble.in_a_row < _IN_A_ROW or now >= trouble.until:
            return None
        return trouble.until

    def refused(self, domain: str, now: datetime) -> datetime:
        """Note a refusal for now; return when to try again."""
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
        """Note that a domain takes mail."""
        self._troubles.pop(domain, None)

    def _forget(self, now: datetime) -> None:
        """Make room: what is over goes first, then everything."""
        waiting = {domain: t for domain, t in self._troubles.items() if now < t.until}
        self._troubles = waiting if len(waiting) < _MOST_DOMAINS else {}
