"""A use of data: what is declared, asked, allowed or denied. RULES 3 and 5 to 7.

Categories and uses are dotted keys; a parent covers its children. `None` as the version means
that the data's version is unknown; `ANY` is whatever a refusal leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY: Final = "*"


class Use(NamedTuple):
    """Data of a category, collected under a version, put to a use by a recipient."""

    data_category: str
    collected_under: str | None
    data_use: str
    recipient: str


class Held(NamedTuple):
    """A (category, version) pair that an account holds; an unknown version is None."""

    data_category: str
    collected_under: str | None


class Declared(NamedTuple):
    """A use that a policy version declares for one party."""

    data_category: str
    data_use: str
    recipient: str


def sort_key(members: tuple[str | None, ...]) -> tuple[str, ...]:
    """Order tuples whose version may be unknown; unknown sorts before every name."""
    return tuple("" if member is None else f" {member}" for member in members)


def over(parent: str, child: str) -> bool:
    """Tell whether a dotted key is another one or an ancestor of it."""
    return parent in (child, ANY) or child.startswith(parent + ".")


def narrower(one: str, other: str) -> str | None:
    """Return the narrower of two keys if one covers the other; else None."""
    if over(one, other):
        return other
    return one if over(other, one) else None


def covers(one: Use, other: Use) -> bool:
    """Tell whether one use covers all of the other. RULES 3."""
    return (
        over(one.data_category, other.data_category)
        and over(one.data_use, other.data_use)
        and one.recipient in (other.recipient, ANY)
        and one.collected_under in (other.collected_under, ANY)
    )


def meet(one: Use, other: Use) -> Use | None:
    """Return what two uses have in common; None if they do not meet. RULES 3."""
    category = narrower(one.data_category, other.data_category)
    data_use = narrower(one.data_use, other.data_use)
    if category is None or data_use is None:
        return None
    if one.recipient != other.recipient and ANY not in (one.recipient, other.recipient):
        return None
    versions = (one.collected_under, other.collected_under)
    if versions[0] != versions[1] and ANY not in versions:
        return None
    return Use(
        category,
        versions[1] if versions[0] == ANY else versions[0],
        data_use,
        other.recipient if one.recipient == ANY else one.recipient,
    )


def declares(declared: Iterable[Declared], category: str, data_use: str, recipient: str) -> bool:
    """Tell whether one of the declared uses covers data put to a use by a recipient."""
    return any(
        row.recipient == recipient
        and over(row.data_category, category)
        and over(row.data_use, data_use)
        for row in declared
    )


def broadest(uses: Iterable[Use]) -> frozenset[Use]:
    """Return the uses that no other one covers. RULES 6."""
    distinct = set(uses)
    return frozenset(
        use for use in distinct if not any(covers(o, use) for o in distinct if o != use)
    )
