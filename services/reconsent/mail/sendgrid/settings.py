"""SENDGRID_*: how SendGrid handles mail, and the public key of its webhook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "https://api.sendgrid.com"

_MOST_CATEGORIES: Final = 10
_LONGEST_CATEGORY: Final = 255
SENDGRID_NAMES: Final = frozenset(
    f"SENDGRID_{name}"
    for name in ("API_KEY", "ASM_GROUP", "CATEGORIES", "HOST", "TRACKING", "WEBHOOK_KEY")
)
"""Every variable that is read."""
_TRACKING: Final = ("clicks", "opens")


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How SendGrid handles mail; the same for every recipient."""

    categories: tuple[str, ...] = ()
    """The categories of SendGrid's statistics."""
    group: int | None = None
    """The unsubscribe group: SendGrid drops mail to people who left it."""
    clicks: bool = False
    """Whether SendGrid replaces links with its own, which count clicks."""
    opens: bool = False
    """Whether SendGrid adds a tracking pixel, which counts openings."""


@dataclass(frozen=True, kw_only=True)
class SendGridSettings:
    """SendGrid's settings; `webhook_key` is the public key of its webhook."""

    api_key: str | None = field(default=None, repr=False)
    host: str = HOST
    webhook_key: str | None = None
    handling: Handling = Handling()


def sendgrid_settings(environ: Mapping[str, str]) -> SendGridSettings:
    """Read SENDGRID_*; raises BadInputError, which names the setting."""
    tracking = _tracking(environ.get("SENDGRID_TRACKING", ""))
    return SendGridSettings(
        api_key=environ.get("SENDGRID_API_KEY") or None,
        host=environ.get("SENDGRID_HOST") or HOST,
        webhook_key=environ.get("SENDGRID_WEBHOOK_KEY") or None,
        handling=Handling(
            categories=_categories(environ.get("SENDGRID_CATEGORIES", "")),
            group=_group(environ.get("SENDGRID_ASM_GROUP", "")),
            clicks="clicks" in tracking,
            opens="opens" in tracking,
        ),
    )


def _categories(text: str) -> tuple[str, ...]:
    names = _listed(text)
    if len(names) > _MOST_CATEGORIES:
        raise BadInputError(
            f"SENDGRID_CATEGORIES: has {len(names)} categories, SendGrid accepts {_MOST_CATEGORIES}"
        )
    for name in names:
        if len(name) > _LONGEST_CATEGORY or not (name.isascii() and name.isprintable()):
            raise BadInputError(
                f"SENDGRID_CATEGORIES: {name[:40]!r} is not a valid category: at most"
                f" {_LONGEST_CATEGORY} ASCII characters"
            )
    return names


def _group(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text[:19]) > 0 and len(text) < 19):  # noqa: PLR2004 -- a bigint's digits
        raise BadInputError(
            f"SENDGRID_ASM_GROUP: {text[:40]!r} is not the number of an unsubscribe group,"
            " such as 17302"
        )
    return int(text)


def _tracking(text: str) -> tuple[str, ...]:
    names = _listed(text)
    unknown = [name for name in names if name not in _TRACKING]
    if unknown:
        raise BadInputError(
            f"SENDGRID_TRACKING: {unknown[0][:40]!r} is not one of {', '.join(_TRACKING)}"
        )
    return names


def _listed(text: str) -> tuple[str, ...]:
    """Return the values between commas, each once."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
