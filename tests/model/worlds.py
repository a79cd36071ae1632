"""Random worlds for hypothesis: small ones, so that the same few keys interact often.

`stories()` generates lists of steps (steps.py). Topics are interleaved at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random

from hypothesis import strategies as st

from tests.model.policies import CATEGORIES, PARTIES, SEEDS, USES, lines
from tests.model.steps import Click, Dispatch, Expire, Look, Permit, Plan, Report, Step, Tombstone
from tests.model.story import EMAILS, PAUSES, Messages


@dataclass(kw_only=True)
class _Story(Messages):
    """One story under construction."""

    def add(self, kind: str, seed: int) -> None:
        """Add the next steps; kinds are the names of the methods below."""
        self.chance = Random(seed)
        self.now += self.one(PAUSES)
        getattr(self, kind)()

    def plan(self) -> None:
        self.steps.append(Plan(now=self.now))

    def dispatch(self) -> None:
        rejected = [self.key()] if self.rejections and self.one([False] * 5 + [True]) else []
        blocked = [self.key()] if self.rejections and self.one([False] * 5 + [True]) else []
        retried = [self.key()] if self.rejections and self.one([False] * 7 + [True]) else []
        self.steps.append(
            Dispatch(
                now=self.now,
                rejected=frozenset(rejected),
                blocked=frozenset(blocked),
                retried=frozenset(retried),
            )
        )

    def mail(self) -> None:
        self.plan()
        self.dispatch()

    def overtaken(self) -> None:
        """A later version supersedes planned notices before they are mailed."""
        self.publish()
        self.plan()
        self.publish()

    def moved(self) -> None:
        """Mail bounces or is rejected; then one account, or all, get another address."""
        self.plan()
        refused = self.accounts if self.rejections and self.one([False, True]) else []
        self.steps.append(Dispatch(now=self.now, rejected=frozenset(refused)))
        if not refused:
            self.report("bounced")
        for site, name in self.accounts[: self.one([1, len(self.accounts)])]:
            data = {"property": site, "account": name, "status": "active", "contact": "all"}
            address = {"email": f"{name}-{len(self.steps)}@example.org"}
            self.record("accounts", data | address | {"updated_at": self.now.isoformat()})
        self.mail()

    def returned(self) -> None:
        """Mail comes back, a week passes, and perhaps the mailbox takes mail again."""
        self.mail()
        pick, said = self.chance.randrange(6), self.one(["bounced", "bounced", "dropped"])
        reason = self.one([None, "552 5.2.2 full"])
        self.steps.append(
            Report(
                now=self.now,
                pick=pick,
                event=said,
                occurred_at=self.now,
                reason=reason,
                identity=f"mail-events-{len(self.steps)}",
            )
        )
        self.now += self.one([timedelta(days=1), timedelta(days=7)])
        self.expire()
        if self.one([False, True]):
            self.report("delivered")
        self.mail()

    def reconsidered(self) -> None:
        """Mail is planned; before it leaves, its reader opts out or says no to all."""
        (site, name), email = self.key(), f"{len(self.steps)}@example.org"
        self.holds((site, name), email)
        self.plan()
        self.now += timedelta(hours=1)
        if self.one([True, True, False]):
            self.names((site, name), email, contact=self.one(["none", "none", "service"]))
        else:
            for use in USES:
                data = {"answer": "deny", "data_use": use, "decided_at": self.now.isoformat()}
                self.record("choices", {"property": site, "account": name} | data)
        self.dispatch()

    def arrived(self) -> None:
        """Mail comes back; before it is sent again, it is said that it has arrived."""
        self.mail()
        pick = self.chance.randrange(6)
        for event, pause in (("bounced", timedelta(days=7)), ("delivered", timedelta())):
            self.steps.append(
                Report(
                    now=self.now,
                    pick=pick,
                    event=event,
                    occurred_at=self.now,
                    reason="552 5.2.2 full",
                    identity=f"mail-events-{len(self.steps)}",
                )
            )
            self.now += pause
            if event == "bounced":
                self.expire()
                self.plan()
        self.dispatch()

    def regained(self) -> None:
        """Mail to a mailbox comes back; later something says that it takes mail again, or seems to.

        That is mail delivered to it, or an account that verified it, perhaps before naming it.
        """
        email = self.one([*EMAILS[:4], f"{len(self.steps)}@example.org"])
        self.holds(self.key(), email)
        self.mail()
        self.says("bounced", email, self.one([None, None, "552 5.2.2 full"]))
        self.now += self.one([timedelta(days=1), timedelta(days=4), timedelta(days=7)])
        if self.one([False, True]):
            self.says("delivered", email)
        else:
            verified = self.now - self.one([timedelta(), timedelta(hours=1)])
            self.names(self.key(), email, email_verified_at=verified.isoformat())
        self.expire()
        self.mail()

    def left_early(self) -> None:
        """Somebody unsubscribes an address, and an account names it then or later."""
        email = self.one([*EMAILS[:4], f"{len(self.steps)}@example.org"])
        self.says("unsubscribed", email)
        self.now += self.one([timedelta(), timedelta(hours=1)])
        self.names(self.key(), email)
        self.publish()
        self.mail()

    def left(self) -> None:
        """Who holds nothing unsubscribes, perhaps opts in again; then a version informs.

        The address may be unsubscribed before the account names it.
        """
        (site, name), email = self.key(), f"{len(self.steps)}@example.org"
        self.steps.append(Tombstone(now=self.now, key=(site, name), at=self.now))
        known, again = self.one([False, True]), self.one([False, False, True])
        for happens in ("names", "says") if known else ("says", "names"):
            self.now += timedelta(hours=1)
            if happens == "says":
                self.says("unsubscribed", email)
            elif known:
                self.names((site, name), email, opted_in_at=self.now.isoformat())
            else:
                self.names((site, name), email)
        if again:
            self.now += timedelta(hours=1)
            self.names((site, name), email, opted_in_at=self.now.isoformat())
        self.publish()
        self.mail()

    def expire(self) -> None:
        self.steps.append(Expire(now=self.now))

    def look(self) -> None:
        self.steps.append(
            Look(
                now=self.now,
                pick=self.chance.randrange(6),
                slot="page",
                changing=self.one([False, False, True]),
            )
        )

    def stale(self) -> None:
        """Something changes between the opening of a page and the click."""
        self.look()
        getattr(self, self.one(["publish", "publish", "collection", "tombstone"]))()
        self.click("page")

    def click(self, slot: str | None = None) -> None:
        pattern = self.chance.choices(["allow", "deny", None], k=self.one([1, 2, 3]))
        self.steps.append(
            Click(
                now=self.now,
                pick=self.chance.randrange(6),
                pattern=tuple(pattern),
                slot=slot or self.one([None, None, "page"]),
                changing=self.one([False, False, True]),
            )
        )

    def permit(self) -> None:
        self.steps.append(
            Permit(
                now=self.now,
                key=self.one(
                    [*self.accounts * 4, ("site.example", "stranger"), ("nowhere", "ann")]
                ),
                data_category=self.one(CATEGORIES),
                collected_under=self.under(),
                data_use=self.one(USES),
                recipient=self.one([None, *PARTIES]),
                at=self.one([None, self.now + timedelta(days=10)]),
            )
        )


_KINDS = (
    *("publish",) * 2,
    *("account",) * 3,
    *("collection",) * 4,
    *("choice",) * 3,
    *("mail",) * 4,
    *("click",) * 5,
    *("report",) * 2,
    *("permit", "plan", "dispatch", "expire", "look", "stale", "tombstone"),
    *("again", "overtaken", "moved", "returned", "regained", "regained", "left_early"),
    *("left", "reconsidered", "reconsidered", "arrived"),
)

NO_MAIL = frozenset(
    (
        *("mail", "dispatch", "click", "look", "stale", "report", "expire", "overtaken"),
        *("moved", "returned", "regained", "left_early", "left", "reconsidered", "arrived"),
    )
)
"""The kinds to leave out of a story without mail before its end."""


@st.composite
def stories(
    draw: st.DrawFn,
    *,
    min_steps: int = 12,
    max_steps: int = 40,
    rejections: bool = False,
    leave_out: frozenset[str] = frozenset(),
) -> list[Step]:
    """Return a random world as steps; `leave_out` names kinds of step (methods of _Story).

    It ends planned, mailed and expired, so that the compared state is final.
    """
    sites = draw(st.sampled_from([("site.example",), ("site.example", "app.example")]))
    policies = [draw(lines("policy", sites))]
    if draw(st.booleans()):
        policies.append(draw(lines("other", ("other.example",))))
        sites = (*sites, "other.example")
    names = st.tuples(st.sampled_from(sites), st.sampled_from(["ann", "bo", "cy"]))
    accounts = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    story = _Story(accounts=accounts, unpublished=policies, rejections=rejections)
    kinds = [kind for kind in _KINDS if kind not in leave_out]
    beginning = ["publish"] * len(policies)
    beginning += ["account", "collection", "collection"] * len(accounts)
    firsts = ["mail", "overtaken", "left", "reconsidered"]
    firsts = [kind for kind in firsts if kind not in leave_out]
    first = draw(st.sampled_from(firsts or ["mail"]))
    opening = [*draw(st.permutations(beginning)), *["publish"] * len(policies), first]
    for kind in opening:
        story.add(kind, draw(SEEDS))
    more = st.tuples(st.sampled_from(kinds), SEEDS)
    for kind, seed in draw(st.lists(more, min_size=min_steps, max_size=max_steps)):
        story.add(kind, seed)
    for kind in ("mail", "expire", "mail"):
        story.add(kind, 0)
    return story.steps
