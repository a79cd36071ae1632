"""The policies and people of the database of before, as events."""

from __future__ import annotations

from typing import Any, Final

from tests.acceptance.versions import (
    ANALYTICS,
    BEHAVIOR,
    CALLS,
    EMAIL,
    LONG_AGO,
    OFFERS,
    PHONE,
    SERVICE,
    Json,
    Row,
    version,
)

SHOP: Final = "shop.example"
APP: Final = "app.example"
CLUB: Final = "club.example"
KLUBB: Final = "klubb.example"
MARKETING: Final = "marketing"
BROAD: Final = "user.contact"

SINCE: Final = "2021-06-01T00:00:00Z"
"""When most of what happened later happened."""
LATER: Final = "2022-06-01T00:00:00Z"

SECRET: Final = "the secret of the database of before"
PUBLIC_URL: Final = "https://privacy.example.test"

_SERVICE: Final[tuple[Row, ...]] = ((EMAIL, [SERVICE], []), (PHONE, [SERVICE], []))
_OFFERS: Final[Row] = (EMAIL, [OFFERS], ["adpartner"])
_CALLS: Final[Row] = (PHONE, [CALLS], [])
_INFORM: Final = {"material": True, "information_mail": "opted_in"}


def _of(policy: str, *properties: str) -> Json:
    texts = {
        locale: {"title": title, "summary": summary, "body": f"# {title}\n\n{summary}\n"}
        for locale, title, summary in (
            ("en", "Privacy policy", f"We at {policy} would like to do more."),
            ("nb", "Personvern", f"Vi i {policy} vil gjerne gjøre mer."),
        )
    }
    return {"policy": policy, "properties": list(properties), "texts": texts}


_SHOP: Final = _of("shop", SHOP, APP)
_CLUB: Final = _of("club", CLUB, KLUBB)
S1: Final = version("v1", None, *_SERVICE) | _SHOP
S2: Final = version("v2", "v1", *_SERVICE, (BEHAVIOR, [ANALYTICS], [])) | _SHOP
S3: Final = version("v3", "v2", *_SERVICE, _OFFERS) | _SHOP
S4: Final = (
    version("v4", "v3", *_SERVICE, _OFFERS, _CALLS, notice=_INFORM)
    | _SHOP
    | {"effective_at": "2099-01-01T00:00:00Z"}
)
S5: Final = (
    version("v5", "v4", *_SERVICE, _OFFERS, _CALLS, (EMAIL, [ANALYTICS], []), notice=_INFORM)
    | _SHOP
    | {"effective_at": "2099-02-01T00:00:00Z"}
)
"""Published after the upgrade."""

C1: Final = version("c1", None, *_SERVICE) | _CLUB
C2: Final = (
    version("c2", "c1", *_SERVICE, _OFFERS, notice={"respond_by": "P90Y", "reminders": ["PT1S"]})
    | _CLUB
)
C3: Final = version("c3", "c2", *_SERVICE, _OFFERS, _CALLS) | _CLUB
"""Published after the upgrade."""


def _pair(policy: str, **notice: object) -> tuple[Json, Json]:
    """Return two versions of a small policy; the second is asked about."""
    both = _of(policy, f"{policy}.example")
    first = version("1", None, *_SERVICE) | both
    return first, version("2", "1", *_SERVICE, _OFFERS, notice=notice) | both


GYM: Final = _pair("gym", respond_by="PT1S")
"""Questions expire."""
MILL: Final = _pair("mill")
"""Mail goes wrong."""
POOL: Final = _pair("pool")
"""The release is paused, and resumed after the upgrade."""
PIER: Final = _pair("pier")
"""The release is cancelled."""

VERSIONS: Final = (S1, S2, S3, S4, S5, C1, C2, C3, *GYM, *MILL, *POOL, *PIER)


def account(property_name: str, name: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return an account event: active, contact all, with an address, unless changed."""
    default = {
        "property": property_name,
        "account": name,
        "email": address(name),
        "status": "active",
        "contact": "all",
        "updated_at": LONG_AGO,
    }
    return default | changed


def address(name: str) -> str:
    """Return the address of a person, unless the account says otherwise."""
    return f"{name}@people.test"


def collection(property_name: str, name: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return a collection event: an email address, under the first version, unless changed."""
    first = next(one["version"] for one in VERSIONS if property_name in one["properties"])
    default = {
        "property": property_name,
        "account": name,
        "data_category": EMAIL,
        "collected_under": first,
        "collected_at": LONG_AGO,
    }
    return default | changed


def choice(property_name: str, name: str, answer: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return a choice event about offers, said at the counter, unless changed."""
    year = changed.pop("year", 2021)
    data = {
        "property": property_name,
        "account": name,
        "answer": answer,
        "data_use": OFFERS,
        "channel": "counter",
        "decided_at": f"{year}-01-01T00:00:00Z",
    }
    return {
        "specversion": "1.0",
        "type": "reconsent.choice.v1",
        "source": "urn:example:counter",
        "id": f"{name} {year}",
        "data": data | changed,
    }


def deletion(property_name: str, name: str, at: str) -> Json:
    """Return the event without data that deletes an account."""
    return {
        "specversion": "1.0",
        "type": "reconsent.account.v1",
        "source": "urn:example:crm",
        "id": f"{name} {at}",
        "time": at,
        "subject": f"{property_name}/{name}",
        "data": None,
    }


UNICODE: Final = "Åse/Øy 日本 😀"
ASKED: Final[dict[str, Json]] = {
    # Who stays silent, and whom the page asks.
    "silent": {}, "waiting": {}, "open-page": {},
    "yes": {}, "no": {}, "part": {}, "half": {}, "changed": {},
    # Who says it elsewhere.
    "streamed": {}, "anything": {}, "narrow": {}, "taken-back": {}, "early": {},
    # What becomes of the mail.
    "bounced": {}, "complained": {}, "blocked": {}, "dropped": {}, "delivered": {},
    # Who is not written to, from the beginning or from later on.
    "closed": {"status": "deactivated"}, "quiet": {"contact": "none"},
    "service": {"contact": "service"}, "child": {"minor": True}, "nowhere": {"email": None},
    "closed-later": {}, "quiet-later": {}, "child-later": {},
    # Who is deleted.
    "gone": {"status": "deleted", "updated_at": "2020-06-01T00:00:00Z"},
    "forgotten": {}, "returned": {}, "buried": {}, "unread-gone": {},
    # What is special about the account or its data.
    "unknown": {}, "elsewhere": {}, "erased": {}, "bought": {}, "broad": {},
    "twin-1": {"email": "twins@people.test"}, "twin-2": {"email": "twins@people.test"},
    UNICODE: {"email": "unicode@people.test", "locale": "nb-NO", "name": "Åse Øy"},
    "german": {"locale": "de", "time_zone": "Europe/Berlin"},
}  # fmt: skip
"""The people of the shop who hold data, and what differs from `account`."""

INFORMED: Final[dict[str, Json]] = {
    "reader": {}, "page-out": {}, "click-out": {}, "provider-out": {}, "click-later": {},
    "no-promotion": {"contact": "service"}, "no-mail": {"contact": "none"},
    "no-child": {"minor": True}, "no-address": {"email": None},
    "no-account": {"status": "deactivated"},
}  # fmt: skip
"""Those who hold nothing, and are at most informed."""

_HOLDINGS: Final[dict[str, list[Json]]] = {
    "silent": [{}, {"data_category": PHONE}],
    "yes": [{}, {"collected_at": "2020-05-01T00:00:00Z"}],
    "no": [{}, {"data_category": PHONE}],
    "unknown": [{"collected_under": None}],
    "elsewhere": [{"collected_under": "v9"}, {"collected_under": "v2", "data_category": BEHAVIOR}],
    "erased": [
        {"data_category": PHONE},
        {"data_category": PHONE, "erased": True, "collected_at": "2020-02-01T00:00:00Z"},
        {},
    ],
    "bought": [{"source": "third_party"}],
    "broad": [{"data_category": BROAD}],
    "early": [{"collected_at": "2020-03-01T00:00:00Z"}],
}


def accounts_of_the_shop() -> list[Json]:
    """Return the accounts of the shop, as they are known at first."""
    people = ASKED | INFORMED
    return [account(SHOP, name, **changed) for name, changed in people.items()]


def collections_of_the_shop() -> list[Json]:
    """Return what the shop holds, also of somebody whose account it has not told of."""
    return [
        collection(SHOP, name, **changed)
        for name in (*ASKED, "stub")
        for changed in _HOLDINGS.get(name, [{}])
    ]


CHOICES: Final = (
    choice(
        SHOP, "streamed", "allow", recipient="example", data_category=EMAIL, collected_under="v1",
        policy_version="v3", evidence={"call": "c-1881", "said": "ja, gjerne"},
    ),
    choice(SHOP, "anything", "deny", data_use=MARKETING),
    choice(SHOP, "narrow", "allow"),
    choice(SHOP, "taken-back", "allow", recipient="adpartner"),
    choice(SHOP, "taken-back", "deny", recipient="adpartner", year=2022),
    # A yes covers what was collected by then.
    choice(SHOP, "early", "allow", decided_at="2020-02-01T00:00:00Z"),
    choice(SHOP, "stub", "allow", year=2023),
)  # fmt: skip

FATES: Final = {
    "c-bounced": ["processed", "bounce"],
    "c-blocked": ["processed", "blocked"],
    "c-dropped": ["dropped"],
    "c-spam": ["processed", "delivered", "spamreport"],
    "c-deferred": ["processed", "deferred"],
    "c-quiet": [],
    "c-silent": [],
    "c-reported-later": [],
}
"""What SendGrid reports of mails of the club; of all others that they were delivered."""
MEMBERS: Final = (*FATES, "c-yes", "c-no", "c-half")
MEDLEMMER: Final = ("k-silent", "k-yes")
