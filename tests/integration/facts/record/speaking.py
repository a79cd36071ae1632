"""A site that has asked ann something, and what speaks for and against her mailbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from reconsent.domain.event import MailEvent, parse
from reconsent.domain.received import Received
from reconsent.facts.record.mail_events import record_mail_events
from reconsent.facts.record.marks import marks_of, order_lift
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from tests.integration.informing import HOUR, SITE, Informing
from tests.integration.interleaving import Work
from tests.integration.stage import Stage

ANN: Final = "ann@example.org"
GONE: Final = "550 5.1.1 no such user"
FULL: Final = "552 5.2.2 mailbox full"


class Asked(Informing):
    """A site that has asked ann something."""

    def __init__(self, place: Stage) -> None:
        """Ask her, and let time pass."""
        super().__init__(place)
        self.account("ann")
        self.collected("ann")
        self.publish("marketing")
        assert self.send() == ["a"]
        self.failed_at = self.place.clock + HOUR
        self.place.clock += 2 * HOUR

    def report(self, event: str, at: datetime, **fields: str) -> Work:
        """Return what records a report."""
        said = MailEvent.model_validate({"event": event, "occurred_at": at} | fields)
        return lambda c: record_mail_events(c, [said], self.place.signer.address_hash)

    def bounced(self, reason: str) -> Work:
        """Return what records that the mail to her came back."""
        [notice] = [one["notice"] for one in self.pipeline.notices() if one["account"] == "ann"]
        return self.report("bounced", self.failed_at, reason=reason, notice=notice)

    def speaks_for(self, how: str) -> Work:
        """Return what records that her mailbox takes mail, dated after it bounced."""
        at = self.place.clock
        match how:
            case "operator":
                mailbox = self.place.signer.address_hash(ANN)
                return lambda c: order_lift(c, [mailbox], said_by="ops", reason="mended", at=at)
            case "delivered":
                return self.report("delivered", at, email=ANN)
            case "verified":
                return self._verified("ann", at)
            case _:
                return self._verified("a new account", at)

    def _verified(self, account: str, at: datetime) -> Work:
        data = {
            "property": SITE, "account": account, "status": "active", "contact": "all",
            "email": ANN, "updated_at": at.isoformat(), "email_verified_at": at.isoformat(),
        }  # fmt: skip
        event = Received("accounts", "/crm", "1", parse("accounts", json.dumps(data).encode()))
        return self.recorded([event])

    def recorded(self, events: Sequence[Received]) -> Work:
        """Return what records events."""
        recorder = Recorder(PublishedVersions(), self.place.signer.address_hash)
        return lambda connection: recorder.record(connection, events)

    def marks(self) -> dict[str, bool]:
        """Return the marks of her mailbox, and whether they hold."""
        with self.place.database.connection() as connection:
            found = marks_of(connection, [self.place.signer.address_hash(ANN)])
        return {one.mark: one.lifted_at is None for one in found}
