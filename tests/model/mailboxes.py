"""RULES 15: marks on mailboxes, and what lifts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.model.addresses import mailbox, mended
from tests.model.permission import Permissions
from tests.model.register import Key
from tests.model.uses import instant

Said = tuple[str, str, datetime]  # (mailbox, bounced or complained, time)
Naming = tuple[str, datetime, datetime | None]  # (mailbox, since when, when it was verified)


@dataclass(kw_only=True)
class Mailboxes(Permissions):
    """The register, with what was said of mailboxes."""

    marks: list[Said] = field(default_factory=list)
    lifts: list[Said] = field(default_factory=list)
    deliveries: list[tuple[str, datetime]] = field(default_factory=list)
    leavings: list[tuple[Key, datetime]] = field(default_factory=list)
    left_mailboxes: list[tuple[str, datetime]] = field(default_factory=list)
    named_mailboxes: dict[Key, list[Naming]] = field(default_factory=dict)

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
            self.deliveries.append((mailbox(email), at))

    def all_lifts(self) -> list[Said]:
        """Return what lifts marks."""
        return self.lifts_by_people() + [(box, "bounced", at) for box, at in self.deliveries]

    def lifts_by_people(self) -> list[Said]:
        """Return what lifts marks, other than deliveries."""
        return self.lifts + [
            lift for key in self.account_events for lift in self.verifications(key)
        ]

    def marked(self, email: str) -> bool:
        """Return whether a mark holds: one that nothing later has lifted."""
        lifts = self.all_lifts()
        return any(
            box == mailbox(email)
            and not any((lifted, of) == (box, kind) and since > at for lifted, of, since in lifts)
            for box, kind, at in self.marks
        )

    def delivered_since(self, email: str, after: datetime) -> bool:
        """Return whether mail was delivered to a mailbox after a time."""
        return any(box == mailbox(email) and at > after for box, at in self.deliveries)

    def lifted_since(self, email: str, after: datetime) -> bool:
        """Return whether something else than a delivery lifted a mark after a time."""
        return any(
            box == mailbox(email)
            and lifted_at > after
            and any((box, kind) == (of, what) and at < lifted_at for of, what, at in self.marks)
            for box, kind, lifted_at in self.lifts_by_people()
        )

    def verifications(self, key: Key) -> list[Said]:
        """Return what the account's verified addresses lift: by then it had named them."""
        named: dict[str, list[tuple[datetime, datetime | None]]] = {}
        for box, at, verified in self.named_mailboxes.get(key, ()):
            if self.since_deletion(key, at):
                named.setdefault(box, []).append((at, verified))
        found = [
            (box, min(at for at, _ in said), max((one for _, one in said if one), default=None))
            for box, said in named.items()
        ]
        return [
            (box, kind, verified)
            for box, first, verified in found
            if verified and verified >= first
            for kind in ("bounced", "complained")
        ]

    def forget_verified(self, key: Key) -> None:
        """Before an account is forgotten: what its verified addresses have lifted stays lifted."""
        self.lifts += [
            (box, kind, at)
            for box, kind, at in self.verifications(key)
            if any((marked, of) == (box, kind) and since < at for marked, of, since in self.marks)
        ]

    def unsubscribed(self, key: Key) -> bool:
        """Return whether somebody wants no optional mail, and has not asked for it later."""
        opted_in = [
            min(instant(event["opted_in_at"]), instant(event["updated_at"]))
            for event in self.account_events.get(key, [])
            if event.get("opted_in_at")
        ]
        return any(
            of == key and self.since_deletion(key, at) and not any(asked > at for asked in opted_in)
            for of, at in self.leavings
        )

    def unsubscribe_by_address(self, email: str, at: datetime) -> None:
        """An unsubscribe that names a mailbox counts for each account that names this, ever."""
        self.left_mailboxes.append((mailbox(email), at))
        for key, boxes in self.named_mailboxes.items():
            if any(box == mailbox(email) for box, *_ in boxes):
                self.leavings.append((key, at))

    def name_mailbox(self, event: Mapping[str, Any]) -> None:
        """Note a mailbox that an account names, and whether somebody has unsubscribed it."""
        key, at = (event["property"], event["account"]), instant(event["updated_at"])
        boxes = self.named_mailboxes.setdefault(key, [])
        # RULES 28: forgotten.
        minor_at = [instant(one["updated_at"]) for one in self.account_events.get(key, [])
                    if one.get("minor")]  # fmt: skip
        boxes[:] = [
            named for named in boxes
            if self.since_deletion(key, named[1]) and all(named[1] > one for one in minor_at)
        ]  # fmt: skip
        if self.person(key).minor:
            boxes.clear()
        elif (email := mended(event.get("email"))) and self.since_deletion(key, at):
            if event["status"] == "deleted" or any(at <= one for one in minor_at):
                return
            stated = event.get("email_verified_at")
            verified = min(instant(stated), at) if stated else None
            boxes.append((mailbox(email), at, verified))
            self.leavings += [(key, at) for box, at in self.left_mailboxes if box == mailbox(email)]

    def forgotten(self, key: Key) -> bool:
        """Return whether the account's address is not known any more."""
        return self.person(key).minor or self.person(key).status == "deleted"
