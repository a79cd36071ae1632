"""Compare what the program prints with what an earlier one printed."""

from __future__ import annotations

from typing import Any


def differences(was: Any, found: Any, at: str = "") -> list[str]:  # noqa: ANN401 -- any JSON
    """Return where two JSON values differ; later versions may add fields to objects."""
    if isinstance(was, dict) and isinstance(found, dict):
        return [
            line
            for name, value in was.items()
            for line in (
                differences(value, found[name], f"{at}/{name}")
                if name in found
                else [f"{at}/{name}: is missing; it was {value!r}"]
            )
        ]
    if isinstance(was, list) and isinstance(found, list):
        if len(was) != len(found):
            return [
                *(f"{at}: is missing: {one!r}" for one in missing(was, found)),
                *(f"{at}: is new: {one!r}" for one in found if not _known(one, was)),
                f"{at}: has {len(found)} entries, not {len(was)}",
            ]
        return [
            line
            for number, (one, other) in enumerate(zip(was, found, strict=True))
            for line in differences(one, other, f"{at}/{number}")
        ]
    # Of a provider's id a keyed hash is kept since.
    if at.endswith("/provider_id") and was and str(found).startswith("hashed:"):
        return []
    return [] if was == found else [f"{at}: was {was!r}, is {found!r}"]


def missing(was: list[Any], found: list[Any]) -> list[Any]:
    """Return what is in the first list and, even with more fields, not in the second."""
    return [one for one in was if all(differences(one, other) for other in found)]


def _known(one: Any, was: list[Any]) -> bool:  # noqa: ANN401 -- any JSON
    return any(not differences(other, one) for other in was)
