"""Names and keys as policy files and events write them, each form once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import StringConstraints

_PROPERTY: Final = r"^[^\s/\x00-\x1f\x7f-\x9f]{1,200}$"
_NAME: Final = r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"
_SHORT_NAME: Final = r"^[^\x00-\x1f\x7f-\x9f]{1,100}$"
# Not *, which means any version.
_VERSION: Final = r"^([^*\x00-\x1f\x7f-\x9f]|[^\x00-\x1f\x7f-\x9f]{2,100})$"
_DOTTED_KEY: Final = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"
_PARTY_KEY: Final = r"^[a-z0-9-]+$"

FORMS: Final[Mapping[str, str]] = {
    _PROPERTY: "should be 1 to 200 characters without spaces and slashes",
    _NAME: "should be 1 to 200 characters without control characters or lone surrogates",
    _SHORT_NAME: "should be 1 to 100 characters without control characters or lone surrogates",
    _VERSION: "should be 1 to 100 characters without control characters or lone surrogates,"
    " and not *",
    _DOTTED_KEY: "should be a dotted key such as user.contact.email",
    _PARTY_KEY: "should be a party's key: lower-case letters, digits and hyphens",
}
"""Error messages for strings that do not match, by pattern."""

Property = Annotated[str, StringConstraints(pattern=_PROPERTY)]
Name = Annotated[str, StringConstraints(pattern=_NAME)]
ShortName = Annotated[str, StringConstraints(pattern=_SHORT_NAME)]
CollectedUnder = Annotated[str, StringConstraints(pattern=_VERSION)]
DottedKey = Annotated[str, StringConstraints(pattern=_DOTTED_KEY, max_length=200)]
PartyKey = Annotated[str, StringConstraints(pattern=_PARTY_KEY, max_length=100)]
