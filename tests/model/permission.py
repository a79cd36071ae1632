"""What an account's data may be used for, and how its ledger reads (RULES 18, 20 to 26)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.model.register import Decision, Entry, Key, Register
from tests.model.uses import ANY, Document, Item, covers, declares, instant, meet

Answer = tuple[bool, str, str | None]  # (allowed, reason, suppression)


@dataclass(kw_only=True)
class Permissions(Register):
    """The register, asked for permission."""

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
        """RULES 20 to 26: the first line that applies answers; `under` None is unknown."""
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
        """RULES 20: what is denied whatever was said and declared."""
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
        """RULES 24: a yes counts from the day on which some version that declares it does."""
        category, _, use, by = item
        effective = [instant(v["effective_at"]) for v in line if declares(v, category, use, by)]
        if not effective:
            return False, "undeclared", None
        allowed = when >= min(effective)
        return allowed, "consented" if allowed else "not_effective_yet", None

    def _refused(self, key: Key, item: Item, standing: list[Decision]) -> str | None:
        """RULES 21: the reason of a no that meets the item and that no later yes makes good."""
        reasons = set()
        for no in standing:
            both = meet(no.item, item) if no.answer == "deny" else None
            if both and not any(
                yes.answer == "allow" and yes.at > no.at and covers(yes.item, both)
                for yes in standing
            ):
                reasons.add("withdrawn" if self.withdraws(key, no.item, no.at) else "refused")
        return max(reasons, default=None)  # withdrawn, if one of them is

    # ------------------------------------------------------------------ what commands print

    def consents(self, site: str, account: str) -> list[dict[str, Any]]:
        """Print the ledger, oldest first, like `consents`; `notice` is a NoticeKey or None."""
        key = (site, account)
        entries = sorted(self.ledger.get(key, []), key=lambda entry: entry.decided_at)
        return [
            {
                "event_state": self._event_state(key, entry),
                "data_category": entry.said[0],
                "collected_under": entry.said[1],
                "data_use": entry.said[2],
                "recipient": (
                    self.controller(site, entry.decided_at) or ANY
                    if entry.answer == "allow" and entry.said[3] == ANY
                    else entry.said[3]
                ),
                "policy_version": entry.policy_version,
                "channel": entry.channel,
                "notice": entry.notice,
                "decided_at": entry.decided_at,
            }
            for entry in entries
        ]

    def _event_state(self, key: Key, entry: Entry) -> str:
        """RULES 18: derived when read, for the ledger keeps only what was said."""
        if not self.since_deletion(key, entry.decided_at):
            return "ConsentInvalidated"
        if entry.answer == "deny":
            withdraws = self.withdraws(key, entry.said, entry.decided_at)
            return "ConsentWithdrawn" if withdraws else "ConsentRefused"
        return "ConsentGiven" if entry.answer == "allow" else "ConsentExpired"

    def erasures(self) -> list[dict[str, Any]]:
        """Print what has to be erased, like `erasures`: all that is held of minors."""
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
