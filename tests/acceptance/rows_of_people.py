"""Rows of the table about accounts and their mail."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from tests.acceptance.stories import MAILED, PLANNED, Story
from tests.acceptance.versions import (
    ANALYTICS,
    EMAIL,
    OFFERS_BY_PARTNER,
    OFFERS_BY_US,
    PHONE,
    SERVICE,
    V1,
    V2,
    V3,
    later,
)

Telling = Generator[str, None, None]


def asked_and_answers(story: Story) -> Telling:
    """Reachable accounts are asked; a yes counts for its use and its versions, a no applies."""
    story.publish(V1, V2)
    for account, contact in (("ann", "all"), ("bo", "service")):
        story.account(account, contact=contact)
        story.collected(account)
    yield MAILED
    assert not story.mails("ann")
    story.publish(V3)
    yield MAILED
    for account in ("ann", "bo"):
        [mail] = story.mails(account)
        assert mail.link
        assert mail.message["Auto-Submitted"] == "auto-generated"
        assert story.notices(account) == ["v3 1 choice accepted"]
        assert story.permit(account) == "denied pending"
        assert story.permit(account, SERVICE) == "allowed declared"
    assert story.asks(story.link("ann")) == {OFFERS_BY_US, OFFERS_BY_PARTNER}
    story.answers(story.link("ann"), {OFFERS_BY_US: "allow", OFFERS_BY_PARTNER: "deny"})
    assert story.permit("ann") == "allowed consented"
    assert story.permit("ann", recipient="adpartner") == "denied refused"
    assert story.permit("ann", collected_under="v2") == "denied pending"
    assert story.permit("ann", "marketing") == "denied undeclared"
    story.answers(story.link("bo"), "deny")
    assert story.permit("bo") == "denied refused"
    assert story.permit("bo", SERVICE) == "allowed declared"
    assert story.notices("bo") == ["v3 1 choice accepted answered"]
    yield MAILED
    assert len(story.mails("ann")) == len(story.mails("bo")) == 1


def opted_out_of_all(story: Story) -> Telling:
    """An account that opted out of all communication gets no mail, and the new use is denied."""
    story.publish()
    story.account("fay", contact="none")
    story.collected("fay")
    yield MAILED
    assert not story.mails("fay")
    assert story.notices("fay") == ["v3 1 choice suppressed all_comms_opt_out"]
    assert story.permit("fay") == "denied suppressed all_comms_opt_out"
    assert story.permit("fay", SERVICE) == "allowed declared"


def deactivated_or_deleted(story: Story) -> Telling:
    """Deactivated and deleted accounts get no mail; a deletion erases only personal data."""
    story.publish(V1, V2)
    story.account("gil", status="deactivated")
    story.account("hal")
    story.account("ivy")
    for account in ("gil", "hal", "ivy"):
        story.collected(account)
    story.says("ivy", "deny", ANALYTICS)
    yield MAILED
    story.account("hal", status="deleted", updated_at=later(days=-1))
    story.publish(V3)
    yield MAILED
    assert not story.mails("gil")
    assert not story.mails("hal")
    assert story.notices("gil") == ["v3 1 choice suppressed deactivated"]
    assert story.permit("gil") == "denied suppressed deactivated"
    assert story.permit("gil", SERVICE) == "allowed declared"
    assert story.notices("hal") == []
    assert story.permit("hal", SERVICE) == "denied account_deleted"
    story.answers(story.link("ivy"), {OFFERS_BY_US: "allow"})
    story.account("ivy", status="deleted", updated_at=later(hours=1))
    yield MAILED
    told = story.stage.world.run("explain", "ivy", "--property", story.property, "--json").out
    assert story.address("ivy") not in told
    assert "Somebody" not in told
    assert story.permit("ivy") == "denied account_deleted"
    states = {entry["event_state"] for entry in story.ledger("ivy")}
    assert states == {"ConsentInvalidated"}
    assert len(story.ledger("ivy")) == 2
    assert story.notices("ivy") == ["v3 1 choice accepted void"]


def minor(story: Story) -> Telling:
    """A minor gets no mail, nothing is allowed, and the data is listed to be erased."""
    story.publish()
    story.account("ida", minor=True)
    story.collected("ida")
    yield MAILED
    assert not story.mails("ida")
    assert story.notices("ida") == ["v3 1 choice suppressed minor"]
    assert story.permit("ida", SERVICE) == "denied suppressed minor"
    erasures = story.stage.world.run("erasures").ndjson
    assert [erasure for erasure in erasures if erasure["property"] == story.property] == [
        {
            "property": story.property,
            "account": "ida",
            "data_category": EMAIL,
            "collected_under": "v1",
            "reason": "minor",
        }
    ]


def untouched_by_the_change(story: Story) -> Telling:
    """Accounts without new uses see the notice on the site; they get mail if both opted for it."""
    soon = {"effective_at": later(days=5)}
    story.publish(V1, V2)
    for account, contact in (("kim", "all"), ("leo", "service"), ("mia", "none")):
        story.account(account, contact=contact)
        story.collected(account, PHONE)
    yield MAILED
    site = f"/properties/{story.property}/notice.json"
    web = story.stage.web
    # v2 has been in force for more than 30 days.
    assert web.get(site).status_code == httpx.codes.NO_CONTENT
    story.publish(V3 | soon)
    yield MAILED
    assert web.get(site).json()["policy_version"] == "v3"
    assert not any(story.mails(account) for account in ("kim", "leo", "mia"))
    assert story.notices("kim") == []
    informs = {"notice": {"information_mail": "opted_in", "material": True}}
    story.publish(V3 | soon | informs | {"version": "v4", "follows": "v3"})
    yield MAILED
    assert web.get(site).json()["policy_version"] == "v4"
    [mail] = story.mails("kim")
    assert mail.link is None
    assert story.notices("kim") == ["v4 1 information accepted"]
    assert story.notices("leo") == ["v4 1 information suppressed not_opted_in"]
    assert story.notices("mia") == ["v4 1 information suppressed all_comms_opt_out"]
    assert not story.mails("leo")
    assert not story.mails("mia")


def changed_between_plan_and_claim(story: Story) -> Telling:
    """What an account says after planning counts when its notice is claimed."""
    story.publish()
    accounts = ("nan", "ole", "pia", "roy", "sue")
    for account in accounts:
        story.account(account)
        story.collected(account)
    yield PLANNED
    assert [story.notices(account) for account in accounts] == [["v3 1 choice due"]] * 5
    now = {"updated_at": later(days=-1)}
    story.account("nan", contact="none", **now)
    story.account("ole", status="deactivated", **now)
    story.account("pia", status="deleted", **now)
    story.account("roy", email="roy@elsewhere.test", **now)
    story.account("sue", minor=True, **now)
    yield MAILED
    assert [story.notices(account) for account in accounts] == [
        ["v3 1 choice suppressed all_comms_opt_out"],
        ["v3 1 choice suppressed deactivated"],
        ["v3 1 choice suppressed deleted"],
        ["v3 1 choice accepted"],
        ["v3 1 choice suppressed minor"],
    ]
    assert not any(story.mails(account) for account in accounts)
    assert len(story.mails("roy", "roy@elsewhere.test")) == 1


def late_facts(story: Story) -> Telling:
    """Late data, a reactivated account and one that opts back in get their notice then."""
    story.publish()
    story.account("sam")
    story.account("tor", status="deactivated")
    story.account("una", contact="none")
    story.account("val", email=None)
    for account in ("tor", "una", "val"):
        story.collected(account)
    yield MAILED
    accounts = ("sam", "tor", "una", "val")
    assert not any(story.mails(account) for account in accounts)
    assert story.notices("val") == ["v3 1 choice suppressed no_address"]
    story.collected("sam")
    for account in ("tor", "una", "val"):
        story.account(account, updated_at=later(days=-1))
    yield MAILED
    for account in accounts:
        assert len(story.mails(account)) == 1
        assert story.notices(account) == ["v3 1 choice accepted"]


def bounced(story: Story) -> Telling:
    """A bounced question stays pending, and is asked again at a new address."""
    story.publish()
    story.account("abe")
    story.collected("abe")
    yield MAILED
    story.reports("abe", "bounced")
    yield MAILED
    assert story.notices("abe") == ["v3 1 choice bounced"]
    assert story.permit("abe") == "denied pending"
    assert len(story.mails("abe")) == 1
    story.account("abe", email="abe@elsewhere.test", updated_at=later(days=-1))
    yield MAILED
    assert len(story.mails("abe")) == 1
    assert len(story.mails("abe", "abe@elsewhere.test")) == 1
    assert story.notices("abe") == ["v3 1 choice bounced superseded", "v3 2 choice accepted"]


ROWS = (
    asked_and_answers,
    opted_out_of_all,
    deactivated_or_deleted,
    minor,
    untouched_by_the_change,
    changed_between_plan_and_claim,
    late_facts,
    bounced,
)
