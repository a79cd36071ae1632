"""Rows of the table about what versions declare, and people's answers."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from tests.acceptance.forms import Page
from tests.acceptance.outside import opened, post
from tests.acceptance.stories import MAILED, Story
from tests.acceptance.versions import (
    CALLS,
    CALLS_BY_US,
    EMAIL,
    OFFERS,
    OFFERS_BY_PARTNER,
    OFFERS_BY_US,
    PHONE,
    SERVICE,
    V1,
    V2,
    V3,
    V4,
    Row,
    later,
    version,
)

Telling = Generator[str, None, None]


def collected_under_the_new_version(story: Story) -> Telling:
    """Nothing is asked about data collected under the new version."""
    story.publish()
    story.account("jon")
    story.collected("jon", under="v3")
    yield MAILED
    assert not story.mails("jon")
    assert story.notices("jon") == []
    assert story.permit("jon", collected_under="v3") == "allowed declared"


def unknown_version(story: Story) -> Telling:
    """Of data whose version is unknown every use is denied until it is decided."""
    story.publish(V1, V2)
    story.account("vic")
    story.collected("vic", PHONE, None)
    yield MAILED
    under_none = {"data_category": PHONE, "collected_under": None}
    assert story.permit("vic", SERVICE, **under_none) == "denied pending"
    assert story.asks(story.link("vic")) == {(SERVICE, "example")}
    story.answers(story.link("vic"), "allow")
    assert story.permit("vic", SERVICE, **under_none) == "allowed consented"
    assert story.permit("vic", SERVICE, data_category=EMAIL, collected_under=None) == (
        "denied pending"
    )


def yes_before_it_is_effective(story: Story) -> Telling:
    """A yes counts from the day on which the version is effective."""
    story.publish(V1, V2, V3 | {"effective_at": later(days=30)})
    story.account("wes")
    story.collected("wes")
    yield MAILED
    assert story.permit("wes") == "denied pending"
    story.answers(story.link("wes"), "allow")
    assert story.permit("wes") == "denied not_effective_yet"
    assert story.permit("wes", at=later(days=29)) == "denied not_effective_yet"
    assert story.permit("wes", at=later(days=31)) == "allowed consented"


def next_version_while_pending(story: Story) -> Telling:
    """A later version brings one new notice of all that is open; the old link shows it."""
    story.publish()
    story.account("xia")
    story.collected("xia")
    story.collected("xia", PHONE)
    yield MAILED
    old = story.link("xia")
    page = opened(story.stage.web, old)
    story.publish(V4)
    yield MAILED
    assert len(story.mails("xia")) == 2
    assert story.notices("xia") == ["v3 1 choice accepted superseded", "v4 1 choice accepted"]
    everything = {OFFERS_BY_US, OFFERS_BY_PARTNER, CALLS_BY_US}
    assert story.asks(old) == story.asks(story.link("xia")) == everything
    late = post(story.stage.web, old, page, "allow")
    assert late.status_code == httpx.codes.CONFLICT
    assert Page.of(late.text).asks == everything
    assert story.permit("xia") == "denied pending"
    story.answers(old, "allow")
    assert story.permit("xia") == "allowed consented"
    assert story.permit("xia", CALLS, data_category=PHONE) == "allowed consented"
    assert story.notices("xia")[-1] == "v4 1 choice accepted answered"


def decided_before(story: Story) -> Telling:
    """A later version that repeats a decided use does not ask again."""
    story.publish()
    story.account("yan")
    story.collected("yan")
    yield MAILED
    story.answers(story.link("yan"), {OFFERS_BY_US: "allow", OFFERS_BY_PARTNER: "deny"})
    story.publish(V4)
    yield MAILED
    assert len(story.mails("yan")) == 1
    assert story.notices("yan") == ["v3 1 choice accepted answered"]
    assert story.permit("yan") == "allowed consented"
    assert story.permit("yan", recipient="adpartner") == "denied refused"


def silence(story: Story) -> Telling:
    """After the time to respond, silence is a no; it is not asked again; a late yes counts."""
    story.publish(V1, V2, V3 | {"notice": {"respond_by": "PT3S"}})
    story.account("eli")
    story.collected("eli")
    yield MAILED
    for _ in range(60):
        if story.permit("eli") != "denied pending":
            break
        yield MAILED
    assert story.permit("eli") == "denied expired"
    assert story.notices("eli") == ["v3 1 choice accepted expired"]
    states = [entry["event_state"] for entry in story.ledger("eli")]
    assert states == ["ConsentExpired", "ConsentExpired"]
    story.publish(V4)
    yield MAILED
    assert len(story.mails("eli")) == 1
    story.answers(story.link("eli"), {OFFERS_BY_US: "allow"})
    assert story.permit("eli") == "allowed consented"


def withdraws(story: Story) -> Telling:
    """A yes taken back is denied at once, and the ledger keeps both."""
    story.publish()
    story.account("zoe")
    story.collected("zoe")
    yield MAILED
    link = story.link("zoe")
    story.answers(link, "allow")
    assert story.permit("zoe") == "allowed consented"
    story.answers(link, {OFFERS_BY_US: "deny"})
    assert story.permit("zoe") == "denied withdrawn"
    assert story.permit("zoe", recipient="adpartner") == "allowed consented"
    said = [e["event_state"] for e in story.ledger("zoe") if e["recipient"] == "example"]
    assert said == ["ConsentGiven", "ConsentWithdrawn"]


def no_on_the_phone(story: Story) -> Telling:
    """A no that names no data applies to all data, also to later data, and is not asked about."""
    story.publish()
    story.account("dee")
    story.collected("dee")
    story.says("dee", "deny", "marketing")
    yield MAILED
    assert not story.mails("dee")
    assert story.notices("dee") == []
    assert story.permit("dee") == "denied refused"
    story.collected("dee", PHONE)
    story.collected("dee", under="v3")
    story.publish(V4)
    yield MAILED
    assert not story.mails("dee")
    assert story.permit("dee", CALLS, data_category=PHONE) == "denied refused"
    assert story.permit("dee", collected_under="v3") == "denied refused"
    [said] = story.ledger("dee")
    assert (said["event_state"], said["data_category"], said["collected_under"]) == (
        "ConsentRefused",
        "*",
        "*",
    )


def only_one_version_lacks_it(story: Story) -> Telling:
    """Of data held under two versions, only that whose version lacks the use is asked about."""
    offers: Row = (EMAIL, [SERVICE, OFFERS], [])
    story.publish(V1, version("v2", "v1", offers), version("v3", "v2", offers))
    story.account("bea")
    story.collected("bea")
    story.collected("bea", under="v2")
    yield MAILED
    [notice] = [n for n in story.stage.notices if n["property"] == story.property]
    assert notice["asks"] == [
        {
            "data_category": EMAIL,
            "collected_under": "v1",
            "data_use": OFFERS,
            "recipient": "example",
        }
    ]
    assert story.permit("bea") == "denied pending"
    assert story.permit("bea", collected_under="v2") == "allowed declared"


def covered_by_the_parent(story: Story) -> Telling:
    """A declared category or use covers its children; a name that merely begins alike does not."""
    story.publish(
        version("v1", None, ("user.contact", ["marketing"], [])),
        version("v2", "v1", ("user.contact.email", ["marketing.communications.email"], [])),
    )
    story.account("cal")
    story.collected("cal")
    yield MAILED
    assert not story.mails("cal")
    assert story.permit("cal") == "allowed declared"
    assert story.permit("cal", data_category="user.contact.phone") == "allowed declared"
    assert story.permit("cal", data_category="user.con") == "denied undeclared"
    assert story.permit("cal", "market") == "denied undeclared"


def another_controller(story: Story) -> Telling:
    """When another controller takes over, every use by it is asked about."""
    story.publish(V1, version("v2", "v1", (EMAIL, [SERVICE], []), controller="new-owner"))
    story.account("dan")
    story.collected("dan")
    yield MAILED
    assert story.asks(story.link("dan")) == {(SERVICE, "new-owner")}
    assert story.permit("dan", SERVICE) == "denied pending"
    assert story.permit("dan", SERVICE, recipient="example") == "allowed declared"
    story.answers(story.link("dan"), "allow")
    assert story.permit("dan", SERVICE) == "allowed consented"


ROWS = (
    collected_under_the_new_version,
    unknown_version,
    yes_before_it_is_effective,
    next_version_while_pending,
    decided_before,
    silence,
    withdraws,
    no_on_the_phone,
    only_one_version_lacks_it,
    covered_by_the_parent,
    another_controller,
)
