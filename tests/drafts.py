"""Policy versions for tests: one to vary, and strategies that draw any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from reconsent.domain.policy import Policy, PolicyVersion

if TYPE_CHECKING:
    from pathlib import Path

_CATEGORIES = ["user", "user.contact", "user.contact.email", "user.con", "user.payment"]
_USES = ["marketing", "marketing.email", "service", "service.support"]
_PARTIES = ["example", "adpartner", "payer"]
_PERIODS = [None, "P0D", "P30D", "P1M", "P1Y", "P365D", "P7Y"]

POLICY_FILE = """\
policy: campaigner
version: 2026-12
follows: null
effective_at: 2027-01-15T00:00:00Z
controller: example
parties:
  example: {name: Example Inc., country: NO}
properties: [campaigner.example, myfax.example]
declares:
  - data: user.contact.email
    uses: [essential.service]
    retention: P7Y
  - data: user.payment
    uses:
      - essential.service.payment
      - essential.fraud
    recipients: [example]
texts:
  en:
    title: Policy
    summary: What changes
    body: en.md
"""
"""A valid policy file; its text is in `en.md` beside it."""


def row(data: str, *uses: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (as in a file)
    """Return a row of `declares`."""
    return {"data": data, "uses": list(uses), **more}


def fields(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 (as in a file)
    """Return the content of a complete policy file, with some fields changed."""
    return {
        "policy": "campaigner",
        "version": "v1",
        "follows": None,
        "effective_at": "2027-01-15T00:00:00Z",
        "controller": "example",
        "parties": {"example": {"name": "Example Inc.", "country": "CA"}},
        "properties": ["campaigner.example"],
        "declares": [row("user.contact.email", "essential.service")],
        "texts": {"en": {"title": "Policy", "summary": "What changes", "body": "# Policy\n"}},
        **changed,
    }


def draft(**changed: Any) -> PolicyVersion:  # noqa: ANN401 (as in a file)
    """Return a policy version with some fields changed."""
    return PolicyVersion.model_validate(fields(**changed))


def written(folder: Path, content: str) -> Path:
    """Write a policy file and its text into a folder; return its path."""
    (folder / "en.md").write_text("# Policy\n", encoding="utf-8")
    path = folder / "p.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def _row(declared: tuple[str, str], **more: Any) -> dict[str, Any]:  # noqa: ANN401 (as in a file)
    return row(*declared, **more)


# Built once: building strategies at each draw takes most of a test's time.
_DECLARED = st.tuples(st.sampled_from(_CATEGORIES), st.sampled_from(_USES))
_ROWS = st.lists(
    st.builds(
        _row,
        _DECLARED,
        recipients=st.lists(st.sampled_from(_PARTIES), unique=True, max_size=2),
        controller=st.sampled_from([True, True, True, False]),
        retention=st.sampled_from(_PERIODS),
        legal_basis=st.sampled_from([None, "consent", "contract"]),
    ),
    unique_by=lambda made: (made["data"], *made["uses"]),
    max_size=4,
)
_TEXT = st.fixed_dictionaries(
    {name: st.sampled_from(["one", "other"]) for name in ("title", "summary", "body")}
)
_FIELDS = st.builds(
    fields,
    version=st.sampled_from(["v2", "v3"]),
    controller=st.sampled_from(_PARTIES),
    joint_controllers=st.sampled_from([(), (), ("payer",)]),
    parties=st.dictionaries(
        st.sampled_from(_PARTIES),
        st.fixed_dictionaries({"name": st.sampled_from(["A", "B"])}),
    ),
    properties=st.lists(st.sampled_from(["a", "b", "c"]), unique=True, min_size=1),
    declares=_ROWS,
    texts=st.dictionaries(st.sampled_from(["en", "nb", "de"]), _TEXT, min_size=1),
    notice=st.fixed_dictionaries(
        {"material": st.booleans(), "respond_by": st.sampled_from([None, "P9D"])}
    ),
)
_VERSIONS = _FIELDS.map(PolicyVersion.model_validate)


def any_fields() -> st.SearchStrategy[dict[str, Any]]:
    """Draw the content of a policy file. Few keys, so that versions often overlap."""
    return _FIELDS


def any_version() -> st.SearchStrategy[PolicyVersion]:
    """Draw a policy version. Few keys, so that two of them often overlap."""
    return _VERSIONS


def line_of(*declares: list[dict[str, Any]], **changed: Any) -> Policy:  # noqa: ANN401 (as in a file)
    """Return a line v1, v2 … of versions with these declarations, a year apart."""
    return Policy(
        name="campaigner",
        versions=tuple(
            draft(
                version=f"v{number}",
                follows=f"v{number - 1}" if number > 1 else None,
                effective_at=f"{2020 + number}-01-01T00:00:00Z",
                declares=rows,
                **changed,
            )
            for number, rows in enumerate(declares, 1)
        ),
    )
