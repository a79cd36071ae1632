"""RULES 15: when a question that did not arrive is asked again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.model.addresses import mailbox
from tests.model.notices import Notice, Notices
from tests.model.uses import covers


@dataclass(kw_only=True)
class Undelivered(Notices):
    """The notices, and which of them may arrive at another try."""

    def may_arrive(self, notice: Notice) -> bool:
        """Another mailbox, or one of which something says that it takes mail again.

        Not what did arrive after it had failed; and deliveries are reasons six times at most.
        """
        email, failed_at = self.person(notice.key).email, notice.failed_at
        if email is None or notice.email is None or failed_at is None:
            return False
        if self.arrived(notice):
            return False
        return (
            mailbox(email) != mailbox(notice.email)
            or notice.waited
            or self.lifted_since(notice.email, failed_at)
            or (self.delivered_since(notice.email, failed_at) and self._tries(notice) <= 6)
        )

    def spare(self, repeat: Notice) -> None:
        """RULES 12 to 15: no repeat is sent of what arrived in the meantime; that is open again."""
        repeat.needless = True
        first = self.last_choice(repeat.key)
        if first and first.handed_over and not first.closed and self.arrived(first):
            covered = all(any(covers(asked, item) for asked in first.asks) for item in repeat.asks)
            if covered and first.asks & repeat.asks:
                self.supersede(repeat)
                first.superseded, first.settled_as = False, None
                return
        repeat.needless = False

    def arrived(self, notice: Notice) -> bool:
        """Whether a notice was delivered when it failed, or later."""
        failed_at, arrived_at = notice.failed_by_clock or notice.failed_at, notice.arrived_at
        return failed_at is not None and arrived_at is not None and arrived_at >= failed_at

    def wait(self, now: datetime) -> None:
        """After a week, the same mailbox is tried again, three times at most."""
        for notice in self.notice_list:
            failed_at = notice.failed_at
            if (
                notice.undelivered
                and failed_at
                and failed_at + timedelta(days=7) <= now
                and self.is_open(notice)
                and self.reachable(notice.key)
                and self._tries(notice) <= 3
            ):
                notice.waited = True

    def forget_addresses(self, now: datetime) -> None:
        """RULES 28: ten days after they were sent, no mails of before a deletion have addresses."""
        for notice in self.notice_list:
            sent_at = notice.accepted_at or notice.failed_at
            if notice.closed and sent_at and sent_at + timedelta(days=10) <= now:
                notice.email = None

    def _tries(self, notice: Notice) -> int:
        """How often the notice's version was asked in vain at its mailbox."""
        return sum(
            other.undelivered
            and (other.key, other.version, other.kind) == (notice.key, notice.version, "choice")
            and mailbox(other.email or "") == mailbox(notice.email or "")
            for other in self.notice_list
        )
