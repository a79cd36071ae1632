"""Accounts and events of a shop whose policy, v1 to v3, is in two languages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpx

from tests.acceptance.outside import Json, World, permissions
from tests.acceptance.versions import EMAIL, LONG_AGO, OFFERS, V1, V2, V3

SHOP: Final = "shop.example"
IN_TWO_LANGUAGES: Final = {
    "en": {
        "title": "Privacy policy",
        "summary": "We would like to send you offers.",
        "body": "# Privacy\n\nWhat we do with **your** data.\n",
    },
    "nb": {
        "title": "Personvern",
        "summary": "Vi vil gjerne sende deg tilbud.",
        "body": "# Personvern\n\nHva vi gjør med det vi vet om **deg**.\n",
    },
}
VERSIONS: Final = (V1, V2, V3 | {"texts": IN_TWO_LANGUAGES})


def account(name: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return an account event: active, contact all, with an address, unless changed."""
    default = {
        "property": SHOP,
        "account": name,
        "email": f"{name}@people.test",
        "status": "active",
        "contact": "all",
        "updated_at": LONG_AGO,
    }
    return default | changed


def collection(name: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return a collection event: an email address, under v1, unless changed."""
    default = {
        "property": SHOP,
        "account": name,
        "data_category": EMAIL,
        "collected_under": "v1",
        "collected_at": LONG_AGO,
    }
    return default | changed


def choice(name: str, answer: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in an event
    """Return a choice event about offers, unless changed."""
    default = {
        "property": SHOP,
        "account": name,
        "answer": answer,
        "data_use": OFFERS,
        "decided_at": "2021-01-01T00:00:00Z",
    }
    return default | changed


def check(name: str, /, **changed: Any) -> Json:  # noqa: ANN401 -- as in a check
    """Return a check: offers to the email address collected under v1, unless changed."""
    default = {
        "property": SHOP,
        "account": name,
        "data_category": EMAIL,
        "collected_under": "v1",
        "data_use": OFFERS,
    }
    return default | changed


ANN: Final = account("ann")
CY: Final = account("cy", contact="none")
KIM: Final = account("kim", minor=True)


def ask(world: World, accounts: Iterable[Json], informed: Sequence[Json] = ()) -> None:
    """Publish the shop's versions, and mail the notices.

    `accounts` hold data and get choice notices; `informed` hold nothing and get information.
    """
    asked = list(accounts)
    last = {"notice": {"material": True, "information_mail": "opted_in"}} if informed else {}
    world.take("emit", "policy-versions", [*VERSIONS[:-1], VERSIONS[-1] | last])
    world.take("emit", "accounts", [*asked, *informed])
    world.take("emit", "collections", [collection(one["account"]) for one in asked])
    world.work()


def reason(web: httpx.Client, name: str, /, **changed: Any) -> str:  # noqa: ANN401 -- as in a check
    """Return the reason of a permission check."""
    [found] = permissions(web, [check(name, **changed)])
    return str(found["reason"])
