"""Permission checks as they are asked. `Check` describes them; all else follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NotRequired, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from reconsent.domain.errors import BadInputError
from reconsent.domain.event_fields import Time
from reconsent.domain.fields import CollectedUnder, DottedKey, Name, PartyKey, Property
from reconsent.domain.surrogates import with_nul

if TYPE_CHECKING:
    from datetime import datetime

_CLOCKS_DIFFER: Final = timedelta(minutes=1)

CheckFields = dict[str, Any]
"""The fields of a valid check; an optional one may be missing."""


class Check(BaseModel):
    """One check: may this data be used? `collected_under` None is an unknown version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: Property
    account: Name
    data_category: DottedKey
    data_use: DottedKey
    collected_under: CollectedUnder | None = None
    recipient: PartyKey | None = None
    at: Time | None = None


def as_dict(model: type[BaseModel], **fields: Any) -> Any:  # noqa: ANN401 -- a type made here
    """Return a TypedDict with the fields of a model, or these instead of some of them.

    Validating it takes a fraction of the time. Whatever it accepts, the model accepts as well.
    """
    hints = get_type_hints(model, include_extras=True)
    forms = {
        name: form if model.model_fields[name].is_required() else NotRequired[form]
        for name in model.model_fields
        for form in [fields.get(name, hints[name])]
    }
    make: Any = TypedDict
    made = make(model.__name__, forms)
    made.__pydantic_config__ = model.model_config
    return made


CHECK_DICT: Final = as_dict(Check)
_LINE: Final[TypeAdapter[CheckFields]] = TypeAdapter(CHECK_DICT)


def parse_check(line: bytes) -> CheckFields:
    """Return the fields of a check in JSON. Raises pydantic's ValidationError."""
    try:
        return _LINE.validate_json(line)
    except ValidationError:
        return Check.model_validate_json(with_nul(line)).model_dump()


def refuse_past(check: CheckFields, now: datetime) -> None:
    """Reject a check about the past, which is not supported. Raises BadInputError."""
    at = check.get("at")
    if at and at < now - _CLOCKS_DIFFER:
        raise BadInputError("at: is in the past; only now or later can be checked")
