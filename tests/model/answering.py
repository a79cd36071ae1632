"""The page behind a notice's link, and the answers posted from it (RULES 8, 17).

Where RULES.md is open, the model interprets it so:

* A link's page shows the ask. If that is empty, it shows the broadest decided items among those its
  notice asked, the new uses, and every standing allow. The page for changing a decision shows both.
* An answer that the form of a notice gives again within the same hour is the same choice, unless
  something else was said about its item since; every other answer is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tests.model.notices import Notice
from tests.model.register import Entry, Key
from tests.model.undelivered import Undelivered
from tests.model.uses import Item, covers, meet

Question = tuple[str, str]  # (data_use, recipient)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The form behind a link: the items it asks about, and the version that words it."""

    policy_version: str
    items: frozenset[Item]
    said_before: int = 0  # how many ledger entries there were

    @property
    def questions(self) -> list[Question]:
        """RULES 8: one question is one use by one recipient."""
        return sorted({(use, recipient) for _, _, use, recipient in self.items})


@dataclass(kw_only=True)
class Answering(Undelivered):
    """The notices, and what people answer to them."""

    def page(
        self, site: str, account: str, policy_version: str, sequence: int, *, changing: bool = False
    ) -> Page | None:
        """Return what a GET of the notice's link shows; None if the link is dead (404)."""
        notice, key = self.named((site, account, policy_version, sequence)), (site, account)
        if notice is None or notice.kind != "choice" or notice.accepted_at is None:
            return None
        person = self.person(key)
        if notice.closed or person.status == "deleted" or person.minor:
            return None
        ask = self.ask(key)
        decided = self._decided(key, notice)
        items = ask | decided if changing else ask or decided
        return Page(
            policy_version=self.line(site)[-1]["version"],
            items=items,
            said_before=len(self.ledger.get(key, ())),
        )

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
        """Post answers from a page opened earlier or now; return the HTTP status.

        404: dead link. 409: the page does not cover the current ask; nothing is recorded. 303:
        recorded. Questions that the page does not have are ignored.
        """
        current = self.page(site, account, policy_version, sequence)
        if current is None:
            return 404
        page, key = page or current, (site, account)
        if not all(any(covers(i, item) for i in page.items) for item in self.ask(key)):
            return 409
        entries = [
            Entry(
                answer=answers[use, recipient],
                item=(category, under, use, recipient),
                decided_at=now,
                policy_version=page.policy_version,
                channel="page",
                notice=(site, account, policy_version, sequence),
            )
            for category, under, use, recipient in sorted(page.items, key=str)
            if (use, recipient) in answers
        ]
        kept = self.ledger.setdefault(key, [])
        said = {(entry.answer, entry.item) for entry in entries}
        before = {entry.posted for entry in kept}
        posted = [replace(entry, posted=_posted(entry, page, kept, said)) for entry in entries]
        kept.extend(entry for entry in posted if entry.posted not in before)
        return 303


def _posted(
    entry: Entry, page: Page, kept: list[Entry], said: set[tuple[str, Item]]
) -> tuple[object, ...]:
    others = [
        n
        for n, other in enumerate(kept, 1)
        if (other.answer, other.item) not in said and meet(other.item, entry.item)
    ]
    hour = entry.decided_at.replace(minute=0, second=0, microsecond=0)
    return (
        entry.notice,
        page.policy_version,
        page.items,
        page.said_before,
        hour,
        entry.answer,
        entry.item,
        max(others, default=0),
    )
