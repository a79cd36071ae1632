"""What comes in through a file and over the bus is stored as the same facts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconsent.cli.importing import import_file
from reconsent.domain.lane import LANES
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.files.checking import Rules
from reconsent.files.events import validated
from reconsent.files.staging import staged
from tests.integration.stage import TOKEN, Stage, stage

_AT: Final = "2026-11-01T10:00:00Z"
_NOW: Final = datetime(2027, 1, 1, tzinfo=UTC)
_FACTS: Final = (
    "SELECT account, name, locale, contact, email FROM accounts ORDER BY account",
    """SELECT account, evidence FROM accounts JOIN consents USING (bucket, account_key)
       JOIN consent_evidence USING (bucket, account_key, entry) ORDER BY account""",
)
_TEXTS: Final = st.lists(
    st.lists(
        st.sampled_from(["\0", "\ud83d", "\ude00", "\udfff", "😀", "\\ud83d", '"', "Å"])
        | st.characters(),
        max_size=5,
    ).map("".join),
    min_size=1,
    max_size=40,
)


@pytest.fixture(name="doors", scope="module")
def _doors(make_database: Callable[[], str]) -> Iterator[list[Stage]]:
    """Two databases: one for each door."""
    with ExitStack() as resources:
        yield [resources.enter_context(stage(make_database())) for _ in range(2)]


def _events(texts: list[str]) -> dict[str, list[dict[str, Any]]]:
    """An opt-out with each text as a name, and a no with it as evidence."""
    people = [{"property": "shop.example", "account": f"{n}"} for n in range(len(texts))]
    both = list(zip(people, texts, strict=True))
    opted_out = {"status": "active", "contact": "none", "updated_at": _AT}
    opted_out |= {"email": "\u200b Ann@bücher.example\u2060 "}
    said = {"answer": "deny", "data_use": "marketing", "decided_at": _AT}
    return {
        "accounts": [who | opted_out | {"name": text, "locale": text} for who, text in both],
        "choices": [who | said | {"evidence": [{text: text}]} for who, text in both],
    }


def _import(place: Stage, topic: str, path: str) -> None:
    recorders = [
        Recorder(PublishedVersions(), place.signer.address_hash, lambda: _NOW) for _ in range(LANES)
    ]
    with staged(path, Rules(topic, _NOW, place.signer.address_hash)) as file:
        done = import_file(place.database, recorders, file, lambda *_: None)
    assert done.refused == 0


def _send(place: Stage, topic: str, path: str) -> None:
    with validated(path, topic, _NOW) as file:
        place.producer.send([line.message for line in file])
    while place.intake.work():
        pass


def _facts(place: Stage) -> list[list[tuple[Any, ...]]]:
    with psycopg.connect(place.conninfo) as connection:
        return [connection.execute(query).fetchall() for query in _FACTS]


@settings(max_examples=15)
@given(texts=_TEXTS)
@example(texts=["Ann \ud83d"])
def test_no_text_loses_a_fact(
    doors: list[Stage], tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """An opt-out and a no count, whatever name and evidence come with them."""
    folder: Path = tmp_path_factory.getbasetemp()
    imported, streamed = doors
    for place in doors:
        place.empty()
    for topic, events in _events(texts).items():
        path = folder / f"{topic}.ndjson"
        path.write_text("\n".join(map(json.dumps, events)))
        _import(imported, topic, str(path))
        _send(streamed, topic, str(path))
    accounts, evidence = facts = _facts(imported)
    assert facts == _facts(streamed)
    stored = {f"{n}": _stored(text) for n, text in enumerate(texts)}
    assert {name: text for name, text, *_ in accounts} == stored
    assert {row[3:] for row in accounts} == {("none", "Ann@bücher.example")}
    assert dict(evidence) == {name: [{text: text}] for name, text in stored.items()}


def _stored(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return re.sub("[\0\ud800-\udfff]", "\ufffd", whole)


@pytest.mark.parametrize("field", ["property", "account", "data_category", "data_use"])
@pytest.mark.parametrize("half", [chr(0), chr(0xD83D)], ids=ascii)
def test_a_check_with_half_a_character_names_the_field(
    doors: list[Stage], field: str, half: str
) -> None:
    """No answer is given for another key than was asked about."""
    place = doors[0]
    check = {"property": "p", "account": "a", "data_category": "user", "data_use": "marketing"}
    asked = place.client.post(
        "/v1/permissions",
        content=json.dumps({"checks": [check | {field: f"a{half}"}]}),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    response = place.runner.run(asked)
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"checks.0.{field}: ")


@pytest.mark.parametrize("path", ["a%00/ann", "shop.example/%00", "shop.example/%ED%A0%BD"])
def test_no_account_has_half_a_character(doors: list[Stage], path: str) -> None:
    """What no key can be is not found."""
    asked = doors[0].client.get(
        f"/v1/accounts/{path}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert doors[0].runner.run(asked).status_code == 404
