"""Permission checks, and the ledger as printed (RULES 18, 20 to 26)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.model.register import Decision, Entry, Key, Register
from tests.model.uses import ANY, Document, Item, covers, declares, instant, meet

Answer = tuple[bool, str, str | None]  # (allowed, reason, suppression)


@dataclass(kw_only=True)
class Permissions(Register):
    """The register with permission checks."""

    def permit(
        self,
        site: str,
        account: str,
        category: str,
        under: str | None,
        use: str,
        recipient: str | None = None,
        at: datetime | None = None,
        *,
        now: datetime,
    ) -> Answer:
        """RULES 20 to 26: the first rule that applies decides; `under` None is unknown."""
        key, when = (site, account), at or now
        if denied := self._denied_outright(key, under):
            return denied
        by = recipient or str(self.controller(site, when))
        item, standing = (category, under, use, by), self.standing(key)
        if refused := self._refused(key, item, standing):
            return False, refused, None
        if declares(self.published(site).get(under), category, use, by):
            return True, "declared", None
        person = self.person(key)
        if person.status == "deactivated":
            return False, "suppressed", "deactivated"
        if person.contact == "none":
            return False, "suppressed", "all_comms_opt_out"
        if any(d.answer == "allow" and covers(d.item, item) for d in standing):
            return self._consented(item, self.line(site), when)
        if any(d.answer == "expire" and covers(d.item, item) for d in standing):
            return False, "expired", None
        pending = declares(self.line(site)[-1], category, use, by)
        return False, "pending" if pending else "undeclared", None

    def _denied_outright(self, key: Key, under: str | None) -> Answer | None:
        """RULES 20: denials that no decision or declaration can change."""
        person = self.person(key)
        if key not in self.known():
            return False, "unknown_account", None
        if person.status == "deleted":
            return False, "account_deleted", None
        if person.minor:
            return False, "suppressed", "minor"
        if not self.line(key[0]):
            return False, "undeclared", None
        if under is not None and under not in self.published(key[0]):
            return False, "unknown_version", None
        return None

    def _consented(self, item: Item, line: list[Document], when: datetime) -> Answer:
        """RULES 24: an allow takes effect with the first version that declares the use."""
        category, _, use, by = item
        effective = [instant(v["effective_at"]) for v in line if declares(v, category, use, by)]
        if not effective:
            return False, "undeclared", None
        allowed = when >= min(effective)
        return allowed, "consented" if allowed else "not_effective_yet", None

    def _refused(self, key: Key, item: Item, standing: list[Decision]) -> str | None:
        """RULES 21: the reason of a deny that meets the item and that no later allow covers."""
        reasons = set()
        for deny in standing:
            both = meet(deny.item, item) if deny.answer == "deny" else None
            if both and not any(
                allow.answer == "allow" and allow.at > deny.at and covers(allow.item, both)
                for allow in standing
            ):
                withdrawn = self.withdraws(key, deny.item, deny.at)
                reasons.add("withdrawn" if withdrawn else "refused")
        return max(reasons, default=None)  # withdrawn outranks refused

    # ------------------------------------------------------------------ printing

    def consents(self, site: str, account: str) -> list[dict[str, Any]]:
        """Return the ledger as `consents` prints it, oldest first; `notice` is a NoticeKey."""
        key = (site, account)
        entries = sorted(self.ledger.get(key, []), key=lambda entry: entry.decided_at)
        return [
            {
                "event_state": self._event_state(key, entry),
                "data_category": entry.item[0],
                "collected_under": entry.item[1],
                "data_use": entry.item[2],
                "recipient": (
                    self.controller(site, entry.decided_at) or ANY
                    if entry.answer == "allow" and entry.item[3] == ANY
                    else entry.item[3]
                ),
                "policy_version": entry.policy_version,
                "channel": entry.channel,
                "notice": entry.notice,
                "decided_at": entry.decided_at,
            }
            for entry in entries
        ]

    def _event_state(self, key: Key, entry: Entry) -> str:
        """RULES 18: derived when read; the ledger stores only the decisions."""
        if not self.since_deletion(key, entry.decided_at):
            return "ConsentInvalidated"
        if entry.answer == "deny":
            withdraws = self.withdraws(key, entry.item, entry.decided_at)
            return "ConsentWithdrawn" if withdraws else "ConsentRefused"
        return "ConsentGiven" if entry.answer == "allow" else "ConsentExpired"

    def erasures(self) -> list[dict[str, Any]]:
        """Return the erasures as `erasures` prints them: everything held about minors."""
        return [
            {
                "property": key[0],
                "account": key[1],
                "data_category": category,
                "collected_under": under,
                "reason": "minor",
            }
            for key in sorted(self.known())
            if self.person(key).minor
            for category, under in sorted(self.held(key), key=str)
        ]
