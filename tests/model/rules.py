"""The whole model: planning, mailing, asking and expiry (RULES 7 to 16).

Where RULES.md is open, the model interprets it so:

* The state of an unmailed notice is `due`, `suppressed` or `superseded`. Superseded is final; if
  its account is asked again later, that is a notice of the next sequence.
* An information notice's suppression is decided when it is planned and at the claim, nowhere else.
* Only the last choice notice of the latest version can be open.
* `settled` of a choice notice: void if a deletion closed it; superseded if it was not mailed and
  nothing was left to ask, or if it was open when a later version was published or a later sequence
  was planned. Otherwise, if it is mailed and not open: void if no standing decision covers any of
  its items, expired if an item is covered only by an expiry, else answered. When a later notice
  replaces it, its settlement does not change any more.
* Of a provider's reports, complained is shown before bounced, and bounced before delivered; all
  take effect.
* An expiry is dated when respond_by passed, not when it was noticed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.model.answering import Answering
from tests.model.notices import Notice
from tests.model.register import Entry, Key
from tests.model.uses import Document, Item, covers, duration, material


@dataclass(kw_only=True)
class World(Answering):
    """The whole model: publish, record, plan, mail, answer and expire."""

    # ------------------------------------------------------------------ planning

    def plan(self) -> None:
        """RULES 9 to 13: one pass over everything recorded so far; it is idempotent."""
        for policy, line in self.lines.items():
            fresh = [n for n, v in enumerate(line) if (policy, v["version"]) not in self.planned]
            inform = any(_informs(line, n) for n in fresh)
            for key in sorted(self.known()):
                if key[0] in line[-1]["properties"] and self.person(key).status != "deleted":
                    self._plan_account(key, line[-1], inform=inform)
            self.planned |= {(policy, version["version"]) for version in line}
        for notice in self.notice_list:
            notice.passes_on = False

    def _plan_account(self, key: Key, latest: Document, *, inform: bool) -> None:
        ask, last = self.ask(key), self.last_choice(key)
        waiting = last if last and not last.closed and last.state in ("due", "suppressed") else None
        pass_on = any(n.key == key and n.passes_on for n in self.notice_list)
        if waiting and not ask:
            self.supersede(waiting)
        elif waiting:
            waiting.asks = ask
            self._set_suppression(waiting)
        elif ask and self._must_ask(key, last, ask):
            for notice in [n for n in self.notice_list if n.key == key]:
                self.fix_settlement(notice)
                if self.is_open(notice):
                    self.supersede(notice)
            self._add(key, latest, "choice", ask)
        elif not ask and (inform or pass_on):
            self._add(key, latest, "information", ask)

    def _must_ask(self, key: Key, last: Notice | None, ask: frozenset[Item]) -> bool:
        """RULES 13 and 15: no open notice covers the ask, or the mail was not delivered."""
        if last is None or not self.is_open(last):
            return True
        if not all(any(covers(asked, item) for asked in last.asks) for item in ask):
            return True
        return last.undelivered and self.reachable(key) and self.may_arrive(last)

    def _add(self, key: Key, version: Document, kind: str, asks: frozenset[Item]) -> None:
        name = version["version"]
        earlier = [n.sequence for n in self.notice_list if n.key == key and n.version == name]
        notice = Notice(
            key=key,
            policy=version["policy"],
            version=name,
            sequence=max(earlier, default=0) + 1,
            kind=kind,
            asks=asks,
        )
        self._set_suppression(notice)
        self.notice_list.append(notice)

    def _set_suppression(self, notice: Notice) -> None:
        notice.suppression = self.suppression(notice.key, notice.kind)
        notice.state = "suppressed" if notice.suppression else "due"

    def preview(self, document: Document) -> dict[str, Any]:
        """Count as if the version were published and mailed now."""
        then = copy.deepcopy(self)
        then.publish(document)
        then.plan()
        people = {
            key
            for key in then.known()
            if key[0] in document["properties"] and then.person(key).status != "deleted"
        }
        informed = [
            n
            for n in then.notice_list
            if n.key in people and n.version == document["version"] and n.state != "superseded"
        ]
        suppressed = [n.suppression for n in informed if n.suppression]
        return {
            "accounts": len(people),
            "choice": sum(n.kind == "choice" and not n.suppression for n in informed),
            "information": sum(n.kind == "information" and not n.suppression for n in informed),
            "suppressed": {reason: suppressed.count(reason) for reason in set(suppressed)},
            "untouched": len(people) - len(informed),
        }

    # ------------------------------------------------------------------ mailing

    def dispatch(
        self, now: datetime, outcomes: Mapping[Key, str] | None = None
    ) -> list[dict[str, Any]]:
        """RULES 14: claim all due notices, check them again, mail; return the accepted mails.

        `outcomes` gives, for some accounts, the provider's result instead of accepted: rejected
        (because of the mailbox), blocked (rejected for another reason) or retry (surely not
        accepted; the notice stays due).
        """
        claimed = [notice for notice in self.notice_list if notice.state == "due"]
        claimed = [notice for notice in claimed if self._claim(notice)]
        mails = []
        for notice in claimed:
            outcome = (outcomes or {}).get(notice.key, "accepted")
            if outcome == "retry":
                continue
            notice.email = self.person(notice.key).email
            notice.state = "accepted" if outcome == "accepted" else "rejected"
            notice.undelivered = notice.state == "rejected"
            notice.failed_at = now if notice.undelivered else None
            if outcome == "rejected":
                self.mark(notice.email or "", "bounced", now)
            if outcome == "accepted":
                notice.accepted_at = now
                mails.append(
                    {
                        "property": notice.key[0],
                        "account": notice.key[1],
                        "email": notice.email,
                        "policy_version": notice.version,
                        "sequence": notice.sequence,
                        "kind": notice.kind,
                        "asks": notice.asks,
                    }
                )
        return mails

    def _claim(self, notice: Notice) -> bool:
        ask = self.ask(notice.key)
        if notice.kind == "choice":
            notice.asks = ask or notice.asks
        self._set_suppression(notice)
        if notice.state == "due" and bool(ask) != (notice.kind == "choice"):
            self.supersede(notice)
        if notice.state == "due" and notice.kind == "choice":
            self.spare(notice)
        return notice.state == "due"

    # ------------------------------------------------------------------ expiring

    def expire(self, now: datetime) -> None:
        """RULES 16: record an expiry when respond_by after acceptance has passed."""
        for notice in self.notice_list:
            if notice.kind != "choice" or notice.accepted_at is None or notice.undelivered:
                continue
            if not self.is_open(notice):
                continue
            terms = self.line(notice.key[0])[-1].get("notice") or {}
            if not terms.get("respond_by"):
                continue
            deadline = notice.accepted_at + duration(terms["respond_by"])
            if deadline <= now:
                self.ledger.setdefault(notice.key, []).extend(
                    Entry(
                        answer="expire",
                        item=item,
                        decided_at=deadline,
                        policy_version=notice.version,
                        notice=notice.name,
                    )
                    for item in sorted(notice.asks & self.ask(notice.key), key=str)
                )


def _informs(line: list[Document], n: int) -> bool:
    """RULES 10: whether the n-th version is material and requests information mail."""
    opted_in = (line[n].get("notice") or {}).get("information_mail") == "opted_in"
    return opted_in and material(line[n], line[n - 1] if n else None)
