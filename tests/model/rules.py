"""The whole model: who is told, what is mailed and asked, what a click and time do (RULES 7 to 16).

Where RULES.md leaves room, the model reads it so:

* The state of a notice nobody mailed is `due`, `suppressed` or `superseded`. What became superseded
  stays so; if its account is asked again later, that is a notice of the next sequence.
* An information notice's suppression is decided when it is planned and at the claim, nowhere else.
* The last choice notice of the latest version alone can be open.
* `settled` of a choice notice: void when a deletion closed it; superseded when nobody mailed it and
  nothing was left to ask, or when it was open at the moment a later version was published or a
  later sequence was planned; else, of one that is mailed and not open, void when no standing
  decision covers anything that it asked, expired when an expiry alone covers something, answered
  otherwise. What it was when something took its place, it stays.
* Of what the provider reports complained is shown before bounced, and that before delivered; all
  take effect.
* A link's page shows the ask, or when that is empty what was decided: of what its notice asked, of
  the new uses, and every standing yes, the broadest. The page for changing one's mind shows both.
* Whoever complained has no address that has not bounced, until a deletion.
* An expiry is dated when respond_by passed, not when somebody noticed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.model.notices import Notice, Notices
from tests.model.register import Entry, Key
from tests.model.uses import Document, Item, covers, duration, material, meet

Question = tuple[str, str]  # (data_use, recipient)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The form one gets behind a link: what it asks, in the words of which version."""

    policy_version: str
    items: frozenset[Item]

    @property
    def questions(self) -> list[Question]:
        """RULES 8: one question is one use by one recipient."""
        return sorted({(use, recipient) for _, _, use, recipient in self.items})


@dataclass(kw_only=True)
class World(Notices):
    """A world in which one can publish, record, plan, mail, click and let time pass."""

    # ------------------------------------------------------------------ planning

    def plan(self) -> None:
        """RULES 9 to 13: one pass over everything recorded so far; again it changes nothing."""
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
        passed_on = any(n.key == key and n.passes_on for n in self.notice_list)
        if waiting and not ask:
            self.supersede(waiting)
        elif waiting:
            waiting.asks = ask
            self._look_again(waiting)
        elif ask and self._must_ask(key, last, ask):
            for notice in [n for n in self.notice_list if n.key == key]:
                self.leave_behind(notice)
                if self.is_open(notice):
                    self.supersede(notice)
            self._add(key, latest, "choice", ask)
        elif not ask and (inform or passed_on):
            self._add(key, latest, "information", ask)

    def _must_ask(self, key: Key, last: Notice | None, ask: frozenset[Item]) -> bool:
        """RULES 13 and 15: nothing open and mailed covers the ask, or it came back unread."""
        if last is None or not self.is_open(last):
            return True
        if not all(any(covers(asked, item) for asked in last.asks) for item in ask):
            return True
        return last.undelivered and self.reachable(key)

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
        self._look_again(notice)
        self.notice_list.append(notice)

    def _look_again(self, notice: Notice) -> None:
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
        told = [
            n
            for n in then.notice_list
            if n.key in people and n.version == document["version"] and n.state != "superseded"
        ]
        suppressed = [n.suppression for n in told if n.suppression]
        return {
            "accounts": len(people),
            "choice": sum(n.kind == "choice" and not n.suppression for n in told),
            "information": sum(n.kind == "information" and not n.suppression for n in told),
            "suppressed": {reason: suppressed.count(reason) for reason in set(suppressed)},
            "untouched": len(people) - len(told),
        }

    # ------------------------------------------------------------------ mailing

    def dispatch(
        self, now: datetime, outcomes: Mapping[Key, str] | None = None
    ) -> list[dict[str, Any]]:
        """RULES 14: claim all that is due, look again, mail; return the mails that went out.

        `outcomes` says for some accounts what the provider answers instead of accepted: rejected,
        or retry (surely not accepted; the notice stays due).
        """
        claimed = [notice for notice in self.notice_list if notice.state == "due"]
        claimed = [notice for notice in claimed if self._claim(notice)]
        mails = []
        for notice in claimed:
            outcome = (outcomes or {}).get(notice.key, "accepted")
            if outcome == "retry":
                continue
            notice.state, notice.email = outcome, self.person(notice.key).email
            notice.undelivered = outcome == "rejected"
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
        self._look_again(notice)
        if notice.state == "due" and bool(ask) != (notice.kind == "choice"):
            self.supersede(notice)
        return notice.state == "due"

    # ------------------------------------------------------------------ deciding

    def page(
        self, site: str, account: str, policy_version: str, sequence: int, *, changing: bool = False
    ) -> Page | None:
        """Return what a GET of the notice's link shows; None where the link is dead (404)."""
        notice, key = self.named((site, account, policy_version, sequence)), (site, account)
        if notice is None or notice.kind != "choice" or notice.accepted_at is None:
            return None
        person = self.person(key)
        if notice.closed or person.status == "deleted" or person.minor:
            return None
        ask = self.ask(key)
        decided = self._decided(key, notice)
        items = ask | decided if changing else ask or decided
        return Page(policy_version=self.line(site)[-1]["version"], items=items)

    def _decided(self, key: Key, notice: Notice) -> frozenset[Item]:
        standing, ask = self.standing(key), self.ask(key)
        found = {d.item for d in standing if d.answer == "allow"} | {
            item
            for item in (self.new_uses(key) | notice.asks) - ask
            if any(covers(decision.item, item) for decision in standing)
        }
        return frozenset(
            item
            for item in found - ask
            if not any(other != item and covers(other, item) for other in found)
        )

    def click(
        self,
        site: str,
        account: str,
        policy_version: str,
        sequence: int,
        answers: Mapping[Question, str],
        now: datetime,
        page: Page | None = None,
    ) -> int:
        """Post answers from a page opened earlier, or afresh; return the HTTP status.

        404 dead link; 409 the page does not cover the current ask, nothing recorded; 303 recorded.
        Questions that the page does not have are ignored.
        """
        fresh = self.page(site, account, policy_version, sequence)
        if fresh is None:
            return 404
        page, key = page or fresh, (site, account)
        if not all(any(covers(i, item) for i in page.items) for item in self.ask(key)):
            return 409
        said = [
            Entry(
                answer=answers[use, recipient],
                said=(category, under, use, recipient),
                decided_at=now,
                policy_version=page.policy_version,
                channel="page",
                notice=(site, account, policy_version, sequence),
            )
            for category, under, use, recipient in sorted(page.items, key=str)
            if (use, recipient) in answers
        ]
        news = [entry for entry in said if not self._stands(key, entry)]
        self.ledger.setdefault(key, []).extend(news)
        return 303

    def _stands(self, key: Key, entry: Entry) -> bool:
        """Tell whether exactly this stands already and nothing later speaks against it."""
        standing = self.standing(key)
        return any(
            (decision.answer, decision.item) == (entry.answer, entry.said)
            and not any(
                {decision.answer, later.answer} == {"allow", "deny"}
                and meet(later.item, decision.item)
                for later in standing[n + 1 :]
            )
            for n, decision in enumerate(standing)
        )

    def expire(self, now: datetime) -> None:
        """RULES 16: silence until respond_by after acceptance is written down as what it is."""
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
                        said=item,
                        decided_at=deadline,
                        policy_version=notice.version,
                        notice=notice.name,
                    )
                    for item in sorted(notice.asks & self.ask(notice.key), key=str)
                )


def _informs(line: list[Document], n: int) -> bool:
    """RULES 10: whether the n-th version of a line is material and asks for information mail."""
    opted_in = (line[n].get("notice") or {}).get("information_mail") == "opted_in"
    return opted_in and material(line[n], line[n - 1] if n else None)
