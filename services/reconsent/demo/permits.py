"""Example permission checks, each for an account that fits the case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reconsent.store.named import named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection

SQL = named("demo")
POLICY: Final = "campaigner"
_EMAIL: Final = "user.contact.email"
_OFFERS: Final = "marketing.communications.email"


class Permit(NamedTuple):
    """An example check: a description of the account, and the arguments of `permit`."""

    story: str
    arguments: list[str]


def find(connection: Connection, policies: Policies, now: datetime) -> Iterator[Permit]:
    """Find an account for each check; skip a check that no account fits."""
    policy = policies.by_name[POLICY]
    oldest, latest = policy.versions[0], policy.latest
    sites = {"properties": policies.properties(POLICY), "data_category": _EMAIL}
    declared = sites | {"collected_under": latest.version, "contact": "all"}
    if row := connection.execute(SQL["holder"], declared).fetchone():
        story = "Gave the email address under the newest version, which declares offers"
        yield Permit(story, _arguments(row, latest.version))
    agreed = sites | {"collected_under": oldest.version, "data_use": _OFFERS}
    if row := connection.execute(SQL["agreed"], agreed).fetchone():
        arguments = _arguments(row, oldest.version)
        if latest.effective_at > now:
            yield Permit("Gave it under the oldest version, and said yes on the page", arguments)
            at = latest.effective_at.isoformat().replace("+00:00", "Z")
            yield Permit(
                "The same on the day that the new version takes effect", [*arguments, "--at", at]
            )
        else:
            yield Permit("Gave it under the oldest version, and said yes on the page", arguments)
    silent = sites | {"collected_under": oldest.version, "contact": "none"}
    if row := connection.execute(SQL["holder"], silent).fetchone():
        story = "Gave it under the oldest version, and wants no mail at all"
        yield Permit(story, _arguments(row, oldest.version))


def _arguments(row: tuple[Any, ...], collected_under: str) -> list[str]:
    property_name, account, *_ = row
    return [
        account, "--property", property_name, "--category", _EMAIL, "--use", _OFFERS,
        "--collected-under", collected_under,
    ]  # fmt: skip
