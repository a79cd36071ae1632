"""Random lines of policy versions for hypothesis, over a few keys that often overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

START = datetime(2027, 1, 1, tzinfo=UTC)
CATEGORIES = ("user", "user.contact", "user.contact.email", "user.payment")
USES = (
    "marketing",
    "marketing.communications",
    "marketing.communications.email",
    "analytics",
    "essential.service",
)
PARTIES = ("example", "adpartner", "new-owner")
VERSIONS = ("v1", "v2", "v3", "v4")

# Details come from a seed instead of one draw each: their distribution is uniform, and hypothesis
# can drop a step or a version without changing the others.
SEEDS = st.integers(0, 2**32)

Rows = dict[tuple[str, str], dict[str, Any]]  # (data, use) -> the rest of its row


def _next_rows(chance: Random, rows: Rows) -> Rows:
    """Change the previous version's rows a little: maybe drop one, add or change some."""
    rows = dict(rows)
    if len(rows) > 1 and chance.random() < 0.4:
        del rows[chance.choice(sorted(rows))]
    for _ in range(chance.choice([1, 2, 2, 3])):
        row: dict[str, Any] = {
            "recipients": chance.sample(PARTIES[1:], chance.choice([0, 0, 1, 2]))
        }
        if chance.random() < 0.3:
            row["retention"] = chance.choice(["P30D", "P1M", "P1Y", "P365D"])
        if row["recipients"] and chance.random() < 0.25:
            row["controller"] = False
        rows[chance.choice(CATEGORIES), chance.choice(USES)] = row
    return rows


def _kept_longer(chance: Random, rows: Rows) -> Rows:
    """Change the previous version's rows only in how long something is kept."""
    limited = [use for use, row in sorted(rows.items()) if "retention" in row]
    if not limited:
        return _next_rows(chance, rows)
    use = chance.choice(limited)
    row = {name: value for name, value in rows[use].items() if name != "retention"}
    return {**rows, use: row | chance.choice([{}, {"retention": "P5Y"}])}


def _jointly(chance: Random, controller: str) -> dict[str, Any]:
    """Another party is sometimes responsible too."""
    if chance.random() < 0.85:
        return {}
    return {"joint_controllers": [chance.choice([p for p in PARTIES if p != controller])]}


def _parties(chance: Random, controller: str) -> dict[str, Any]:
    """Who is responsible, and where the parties are."""
    parties = {key: {"name": key.title(), "country": _country(chance)} for key in PARTIES}
    return {"controller": controller, "parties": parties} | _jointly(chance, controller)


def _parties_of(followed: dict[str, Any]) -> dict[str, Any]:
    """The same as before."""
    names = ("controller", "parties", "joint_controllers")
    return {name: followed[name] for name in names if name in followed}


def _country(chance: Random) -> str | None:
    return chance.choice(["NO"] * 12 + ["SE", None])


def _terms(chance: Random) -> dict[str, Any]:
    terms: dict[str, Any] = {"information_mail": chance.choice(["opted_in", "opted_in", "nobody"])}
    if period := chance.choice([None, "P2D", "P7D"]):
        terms["respond_by"] = period
    if chance.random() < 0.2:
        terms["material"] = True
    return terms


@st.composite
def lines(
    draw: st.DrawFn, policy: str = "policy", sites: tuple[str, ...] = ("site.example",)
) -> list[dict[str, Any]]:
    """Return 2 to 4 versions of a policy as JSON files; the last site may join later."""
    rows: Rows = {}
    documents: list[dict[str, Any]] = []
    effective, controller = START - timedelta(days=draw(st.integers(-3, 9))), PARTIES[0]
    joins = draw(st.integers(0, 1)) if len(sites) > 1 else 0
    for n, seed in enumerate(draw(st.lists(SEEDS, min_size=2, max_size=4))):
        chance = Random(seed)
        followed = documents[-1] if documents and chance.random() < 0.25 else None
        if followed:
            rows = _kept_longer(chance, rows)
        else:
            rows = _next_rows(chance, rows)
            controller = chance.choice([*[controller] * 4, PARTIES[2]])
        documents.append(
            {
                "policy": policy,
                "version": VERSIONS[n],
                "follows": VERSIONS[n - 1] if n else None,
                "effective_at": effective.isoformat(),
                **(_parties_of(followed) if followed else _parties(chance, controller)),
                "properties": list(sites if n >= joins else sites[:-1]),
                "declares": [
                    {"data": data, "uses": [use], **row} for (data, use), row in rows.items()
                ],
                "texts": {"en": {"title": "Policy", "summary": "What changes", "body": f"# {n}"}},
                "notice": _terms(chance),
            }
        )
        effective += timedelta(days=chance.choice([0, 1, 8, 20, 90]))
    return documents
