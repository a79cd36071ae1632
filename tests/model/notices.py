"""Stored notices: how recorded events change them, which are open, how they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.model.addresses import mailbox, mended
from tests.model.mailboxes import Mailboxes
from tests.model.register import Entry, Key, NoticeKey
from tests.model.uses import ANY, Document, Item, covers, instant, material


@dataclass(kw_only=True)
class Notice:
    """One account's notice of one policy version."""

    key: Key
    policy: str
    version: str
    sequence: int
    kind: str  # choice or information
    asks: frozenset[Item] = frozenset()
    state: str = "due"
    suppression: str | None = None
    email: str | None = None  # the address it was sent to
    accepted_at: datetime | None = None
    undelivered: bool = False
    failed_at: datetime | None = None  # when it was known last that it did not arrive
    failed_by_clock: datetime | None = None  # as its report says, whose clock may be behind
    arrived_at: datetime | None = None  # when it was said last that it did arrive
    waited: bool = False  # long enough since then
    superseded: bool = False  # by a later version or sequence, while it was open
    needless: bool = False  # a repeat that was not sent: what it repeats has arrived
    settled_as: str | None = None  # fixed when a later version or sequence replaces it
    closed: bool = False  # by a deletion
    passes_on: bool = False  # information superseded before it was mailed

    @property
    def name(self) -> NoticeKey:
        """The notice's natural key."""
        return (*self.key, self.version, self.sequence)

    @property
    def handed_over(self) -> bool:
        """Whether it was handed over to a provider, whatever the outcome."""
        return self.state not in ("due", "suppressed", "superseded")


@dataclass(kw_only=True)
class Notices(Mailboxes):
    """The register, and the notices that were planned from it."""

    notice_list: list[Notice] = field(default_factory=list)
    planned: set[tuple[str, str]] = field(default_factory=set)  # (policy, version)
    address_events: set[tuple[str, str, datetime, str]] = field(default_factory=set)

    # ------------------------------------------------------------------ recording

    def publish(self, document: Document) -> None:
        """RULES 12: a later version supersedes open notices; the same one again does nothing."""
        line = self.lines.setdefault(document["policy"], [])
        if any(version["version"] == document["version"] for version in line):
            return
        for notice in [n for n in self.notice_list if n.policy == document["policy"]]:
            self.fix_settlement(notice)
            waits = notice.kind == "choice" and not notice.handed_over
            if waits or self.is_open(notice):
                notice.passes_on = notice.kind == "information"
                self.supersede(notice)
        line.append(document)

    def account(self, event: Mapping[str, Any]) -> None:
        """RULES 15 and 27: a deletion closes the notices unless a later one is already known."""
        key = (event["property"], event["account"])
        at = instant(event["updated_at"])
        if event["status"] == "deleted" or event.get("minor"):
            self.forget_verified(key)
        if event["status"] == "deleted" and self.since_deletion(key, at):
            for notice in [n for n in self.notice_list if n.key == key]:
                notice.closed, notice.passes_on = True, False
                if notice.state in ("due", "suppressed"):
                    notice.state, notice.suppression = "suppressed", "deleted"
        self.account_events.setdefault(key, []).append(event)
        self.name_mailbox(event)

    def delete(self, site: str, account: str, at: str | datetime) -> None:
        """Record a tombstone, dated by its message."""
        fields = {"status": "deleted", "contact": "all", "updated_at": instant(at)}
        self.account({"property": site, "account": account, **fields})

    def collection(self, event: Mapping[str, Any]) -> None:
        """Record a collection or an erasure."""
        self.collections.setdefault((event["property"], event["account"]), []).append(event)

    def choice(self, event: Mapping[str, Any], identity: str) -> None:
        """RULES 17: record a choice as given; a repeated id is the same choice."""
        name = event["property"], event["account"], identity
        if name in self.choices:
            return
        self.choices[name] = event
        item = (
            event.get("data_category") or ANY,
            event.get("collected_under") or ANY,
            event["data_use"],
            event.get("recipient") or ANY,
        )
        entry = Entry(
            answer=event["answer"],
            item=item,
            decided_at=instant(event["decided_at"]),
            policy_version=event.get("policy_version"),
            channel=event.get("channel"),
        )
        self.ledger.setdefault((event["property"], event["account"]), []).append(entry)

    def mail_event(
        self,
        site: str,
        account: str,
        policy_version: str,
        sequence: int,
        event: str,
        at: str | datetime,
        *,
        marks: bool = True,
    ) -> None:
        """RULES 15: apply a provider's report about a notice that it accepted.

        `marks`: a bounce or drop speaks of the mailbox.
        """
        notice = self.named((site, account, policy_version, sequence))
        if notice is None or notice.accepted_at is None:
            return
        if notice.email:
            self.said(notice.email, event, instant(at), marks=marks)
        self.apply(notice, event, instant(at))
        if event == "unsubscribed":
            self.leavings.append((notice.key, instant(at)))

    def apply(self, notice: Notice, event: str, at: datetime) -> None:
        """Show what a report says of a notice."""
        if event in ("bounced", "dropped"):
            notice.undelivered = True
            notice.failed_by_clock = max(at, notice.failed_by_clock or at)
            failed_at = max(at, notice.accepted_at or at)
            if notice.failed_at is None or failed_at > notice.failed_at:
                notice.failed_at, notice.waited = failed_at, False
        if event == "delivered":
            notice.arrived_at = max(at, notice.arrived_at or at)
        shown = {"delivered": "delivered", "complained": "complained"}
        shown |= {"bounced": "bounced", "dropped": "bounced"}
        order = ("accepted", "delivered", "bounced", "complained")
        notice.state = max(notice.state, shown.get(event, notice.state), key=order.index)

    def address_event(
        self, email: str, event: str, at: str | datetime, identity: str, *, marks: bool = True
    ) -> None:
        """RULES 15: apply a report that names an address; the same one again changes nothing."""
        email = mended(email) or ""
        said = (mailbox(email), event, instant(at), identity)
        if said in self.address_events:
            return
        self.address_events.add(said)
        self.said(email, event, instant(at), marks=marks)
        if event == "unsubscribed":
            self.unsubscribe_by_address(email, instant(at))
        for notice in self.notice_list:
            accepted = notice.accepted_at
            if (
                notice.email
                and mailbox(notice.email) == mailbox(email)
                and accepted
                and instant(at) - timedelta(days=10) < accepted <= instant(at)
                and notice.state != "delivered"
                and not notice.closed
                and not self.forgotten(notice.key)
            ):
                self.apply(notice, event, instant(at))

    # ------------------------------------------------------------------ reading notices

    def is_open(self, notice: Notice) -> bool:
        """RULES 12: derived from the current facts, not stored."""
        if notice.kind == "information":
            return notice.state == "due"
        return (
            not notice.closed
            and not notice.superseded
            and notice is self.last_choice(notice.key)
            and bool(notice.asks & self.ask(notice.key))
        )

    def last_choice(self, key: Key) -> Notice | None:
        """Return the account's last choice notice of the latest version."""
        latest = self.line(key[0])[-1]["version"]
        found = [
            n
            for n in self.notice_list
            if n.key == key and n.version == latest and n.kind == "choice" and not n.needless
        ]
        return max(found, key=lambda notice: notice.sequence, default=None)

    def reachable(self, key: Key) -> bool:
        """RULES 15: the account has a mailbox without a mark."""
        email = self.person(key).email
        return email is not None and not self.marked(email)

    def suppression(self, key: Key, kind: str) -> str | None:
        """RULES 9 and 10: the first reason not to mail, if any."""
        person = self.person(key)
        reasons = {
            "minor": person.minor,
            "deactivated": person.status == "deactivated",
            "all_comms_opt_out": person.contact == "none",
            "not_opted_in": kind == "information"
            and (person.contact != "all" or self.unsubscribed(key)),
            "no_address": person.email is None,
            "bounced": not self.reachable(key),
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    def named(self, name: NoticeKey) -> Notice | None:
        """Return the notice with this key, None if there is none."""
        return next((notice for notice in self.notice_list if notice.name == name), None)

    def supersede(self, notice: Notice) -> None:
        """An unmailed notice becomes superseded; a mailed one keeps its state as evidence."""
        if notice.closed:
            return
        notice.superseded = True
        if not notice.handed_over:
            notice.state, notice.suppression = "superseded", None

    def fix_settlement(self, notice: Notice) -> None:
        """A later notice replaces this one: its settlement does not change any more."""
        if notice.kind == "choice" and notice.handed_over and not notice.settled_as:
            notice.settled_as = self.settled(notice) or "superseded"

    # ------------------------------------------------------------------ printing

    def settled(self, notice: Notice) -> str | None:
        """How a choice notice was settled; None if it is open or not mailed yet."""
        if notice.kind != "choice":
            return None
        if notice.closed:
            return "void"
        if notice.settled_as or notice.state == "superseded":
            return notice.settled_as or "superseded"
        if not notice.handed_over or self.is_open(notice):
            return None
        standing = self.standing(notice.key)
        answers = [{d.answer for d in standing if covers(d.item, item)} for item in notice.asks]
        if not any(answers):
            return "void"
        return "expired" if {"expire"} in answers else "answered"

    def notices(self) -> list[dict[str, Any]]:
        """Return all notices as `notices` prints them, without ids."""
        names = ("data_category", "collected_under", "data_use", "recipient")
        return [
            {
                "property": notice.key[0],
                "account": notice.key[1],
                "policy": notice.policy,
                "policy_version": notice.version,
                "sequence": notice.sequence,
                "kind": notice.kind,
                "state": notice.state,
                "suppression": notice.suppression,
                "settled": self.settled(notice),
                "asks": [
                    dict(zip(names, item, strict=True)) for item in sorted(notice.asks, key=str)
                ],
            }
            for notice in sorted(self.notice_list, key=lambda notice: notice.name)
        ]

    def property_notice(self, site: str, now: datetime) -> tuple[str, str] | None:
        """Return (policy, version) of the latest material version, while its notice is shown."""
        line = self.line(site)
        found = [v for n, v in enumerate(line) if material(v, line[n - 1] if n else None)]
        if not found or now > instant(found[-1]["effective_at"]) + timedelta(days=30):
            return None
        return found[-1]["policy"], found[-1]["version"]
