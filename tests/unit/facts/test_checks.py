"""Checks that are read fast: nothing is accepted that the model does not accept as the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from reconsent.facts.read.checks import CHECK_DICT, Check
from reconsent.web.programs.api import BODY, Checks

_FIELDS = st.sampled_from([*Check.model_fields, "more"])
_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        "a.example", "ann", "user.contact", "v1", "*", "example", "", " ", "a/b", "é\u2028",
        "\ud800", "user..contact", "Example", "x" * 101, "x" * 201, "line\n", "line\nfeed",
        "tab\t", "\x85",
        "2027-01-15T00:00:00Z", "2027-01-15t00:00:00.123456789+01:00", "2027-02-30T00:00:00Z",
        "2027-01-15", None, 0, 1, True, 1.5, float("nan"), 10**30, [], {}, ["a"],
    ]
)  # fmt: skip
_VALID: dict[str, Any] = {
    "property": "a.example", "account": "ann", "data_category": "user", "data_use": "marketing",
}  # fmt: skip


def _written(pairs: list[tuple[str, Any]]) -> str:
    """Write an object whose fields may come twice."""
    return "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs) + "}"


def _accepts(adapter: TypeAdapter[Any], text: str) -> Any:  # noqa: ANN401 -- what was validated
    try:
        return adapter.validate_json(text)
    except ValidationError:
        return None


def _exactly(model: type[BaseModel], text: str) -> Any:  # noqa: ANN401 -- what was validated
    """Read it as FastAPI does."""
    return model.model_validate(json.loads(text)).model_dump()


@given(changed=st.lists(st.tuples(_FIELDS, _VALUES), max_size=4), first=st.booleans())
@example(changed=[("account", "other"), ("account", 1)], first=False)
def test_a_check_is_read_as_the_model_reads_it(
    changed: list[tuple[str, Any]], *, first: bool
) -> None:
    """The fields that are given are the same; those that are not are empty."""
    valid = list(_VALID.items())
    text = _written(changed + valid if first else valid + changed)
    found = _accepts(TypeAdapter(CHECK_DICT), text)
    if found is not None:
        exact = _exactly(Check, text)
        assert {name: found.get(name) for name in Check.model_fields} == exact


@given(
    checks=st.lists(st.lists(st.tuples(_FIELDS, _VALUES), max_size=1), max_size=3),
    more=st.lists(
        st.tuples(
            st.sampled_from(["evidence", "checks", "more"]),
            st.sampled_from([True, False, None, "true", "yes", "on", 0, 1, 2, 1.0, []]),
        ),
        max_size=2,
    ),
)
def test_a_request_is_read_as_the_model_reads_it(
    checks: list[list[tuple[str, Any]]], more: list[tuple[str, Any]]
) -> None:
    """Whatever else it holds."""
    written = ",".join(_written([*_VALID.items(), *changed]) for changed in checks)
    text = f'{{"checks":[{written}],' + _written([*more, *more])[1:]
    text = text.replace(",}", "}")
    found = _accepts(BODY, text)
    if found is not None:
        exact = _exactly(Checks, text)
        assert found.get("evidence", False) is exact["evidence"]
        assert [
            {name: check.get(name) for name in Check.model_fields} for check in found["checks"]
        ] == exact["checks"]
