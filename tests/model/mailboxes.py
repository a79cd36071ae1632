"""RULES 15: marks on mailboxes, and what lifts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tests.model.addresses import mailbox
from tests.model.permission import Permissions

Said = tuple[str, str, datetime]  # (mailbox, bounced or complained, time)


@dataclass(kw_only=True)
class Mailboxes(Permissions):
    """The register, with what was said of mailboxes."""

    marks: list[Said] = field(default_factory=list)
    lifts: list[Said] = field(default_factory=list)

    def mark(self, email: str, kind: str, at: datetime) -> None:
        """Mark a mailbox, whoever has it."""
        self.marks.append((mailbox(email), kind, at))

    def lift(self, email: str, kind: str, at: datetime) -> None:
        """Lift what a mailbox was marked with before."""
        self.lifts.append((mailbox(email), kind, at))

    def said(self, email: str, event: str, at: datetime, *, marks: bool) -> None:
        """Apply a report; `marks`: a bounce or drop speaks of the mailbox."""
        if event == "complained":
            self.mark(email, "complained", at)
        if event in ("bounced", "dropped") and marks:
            self.mark(email, "bounced", at)
        if event == "delivered":
            self.lift(email, "bounced", at)

    def marked(self, email: str) -> bool:
        """Return whether a mark holds: one that nothing later has lifted."""
        return any(
            box == mailbox(email)
            and not any(
                (lifted, of) == (box, kind) and since > at for lifted, of, since in self.lifts
            )
            for box, kind, at in self.marks
        )
