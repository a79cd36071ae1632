"""Telling that nothing here has a name that a command was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.domain.spelling import did_you_mean
from reconsent.facts.read.names import is_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.facts.versions import Policies
    from reconsent.store.postgres import Connection


def about_property(policies: Policies, property_name: str) -> Iterator[str]:
    """Yield that no policy lists a property, with the one that was probably meant."""
    if property_name not in policies.owners:
        near = did_you_mean(property_name, policies.owners)
        yield f"no policy lists the property {property_name!r}{near}"


def about_list(
    connection: Connection,
    policies: Policies,
    *,
    property_name: str | None,
    account: str | None,
    policy_version: str | None,
) -> Iterator[str]:
    """Yield what is unknown of that by which a list was filtered."""
    if property_name is not None:
        yield from about_property(policies, property_name)
    if account is not None:
        properties = list(policies.owners) if property_name is None else [property_name]
        if not is_account(connection, properties, account):
            yield f"no account {account!r} is known" + (
                f" at {property_name}" if property_name is not None else ""
            )
    if policy_version is not None:
        known = {version.version for version in policies.versions.values()}
        if policy_version not in known:
            near = did_you_mean(policy_version, known)
            yield f"no version {policy_version!r} is published{near}"


def no_account(policies: Policies, property_name: str, account: str) -> str:
    """Return the message about an account that is not known."""
    return "; ".join(
        [f"{property_name}/{account}: no such account", *about_property(policies, property_name)]
    )
