"""Policy versions as data, for one policy a scenario."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]
Row = tuple[str, list[str], list[str]]
"""Data, uses and further recipients."""

EMAIL: Final = "user.contact.email"
PHONE: Final = "user.contact.phone"
BEHAVIOR: Final = "user.behavior"
SERVICE: Final = "essential.service"
OFFERS: Final = "marketing.communications.email"
CALLS: Final = "marketing.communications.telephone"
ANALYTICS: Final = "analytics"
LONG_AGO: Final = "2020-01-01T00:00:00Z"
NOW: Final = datetime.now(UTC)


def later(**span: float) -> str:
    """Return a time that is this long after the start of the tests."""
    return (NOW + timedelta(**span)).isoformat().replace("+00:00", "Z")


def version(
    name: str,
    follows: str | None,
    *rows: Row,
    **more: Any,  # noqa: ANN401 -- as in a file
) -> Json:
    """Return a version that declares rows of (data, uses, recipients), in force for long."""
    return {
        "policy": "shop",
        "version": name,
        "follows": follows,
        "effective_at": LONG_AGO,
        "controller": "example",
        "parties": {
            "example": {"name": "Example AS", "country": "NO"},
            "adpartner": {"name": "Ad Partner Ltd", "country": "IE"},
        },
        "properties": ["shop.example"],
        "declares": [
            {"data": data, "uses": uses, "recipients": recipients}
            for data, uses, recipients in rows
        ],
        "texts": {
            "en": {
                "title": "Privacy policy",
                "summary": f"What {name} changes.",
                "body": f"# Privacy\n\nThis is version {name}.\n",
            }
        },
        **more,
    }


_SERVICE: Final[tuple[Row, ...]] = ((EMAIL, [SERVICE], []), (PHONE, [SERVICE], []))

V1: Final = version("v1", None, *_SERVICE)
V2: Final = version("v2", "v1", *_SERVICE, (BEHAVIOR, [ANALYTICS], []))
V3: Final = version("v3", "v2", *_SERVICE, (EMAIL, [OFFERS], ["adpartner"]))
"""Drops analytics; offers by email, from the company and from a partner."""
V4: Final = version("v4", "v3", *_SERVICE, (EMAIL, [OFFERS], ["adpartner"]), (PHONE, [CALLS], []))
"""As v3, and calls."""

OFFERS_BY_US: Final = (OFFERS, "example")
OFFERS_BY_PARTNER: Final = (OFFERS, "adpartner")
CALLS_BY_US: Final = (CALLS, "example")
