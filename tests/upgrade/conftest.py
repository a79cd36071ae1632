"""The databases of before, upgraded: in place, and as a restore in another cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import psycopg
import pytest

from tests.acceptance.outside import World
from tests.stand_ins.sendgrid_webhook import Signing
from tests.upgrade.fixture import (
    FOLDER,
    WORDS,
    database_sql,
    recorded_answers,
    recorded_words,
    words_json,
)
from tests.upgrade.living import live
from tests.upgrade.place import Json, Place, for_others, opened, upgrade
from tests.upgrade.reading import read

# As if the database had always been in this cluster: its log names transactions that are over.
_AT_HOME: Final = """
UPDATE clusters SET (system_identifier, timeline, relation) =
    (SELECT system_identifier, timeline, relation FROM this_cluster());
CREATE TEMPORARY TABLE moments AS
    SELECT changed, (2 + row_number() OVER (ORDER BY changed))::text::xid8 AS here
    FROM (SELECT changed FROM changes UNION SELECT changed FROM followers) AS known
    WHERE changed <> '0';
UPDATE changes SET changed = here FROM moments WHERE moments.changed = changes.changed;
UPDATE followers SET changed = here FROM moments WHERE moments.changed = followers.changed;
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for changes of words."""
    parser.addoption(
        "--new-words",
        action="store_true",
        help="write down what the pages of tests/upgrade say now, where words were changed",
    )


@pytest.fixture(scope="module")
def recorded() -> Json:
    """Return what the program of before answered and did."""
    return recorded_answers()


@pytest.fixture(scope="module")
def load(make_empty: Callable[[], str]) -> Callable[..., str]:
    """Return a function that loads the database of before, in place or as a restore."""

    def make(*, in_place: bool) -> str:
        made = make_empty()
        # The dump sets the search path of its connection.
        for statements in (database_sql(), _AT_HOME if in_place else ""):
            with psycopg.connect(made) as connection:
                connection.execute(statements.encode())
        return for_others(made)

    return make


@pytest.fixture(scope="module")
def signing() -> Signing:
    """Return the keys of SendGrid's webhook."""
    return Signing()


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    load: Callable[..., str],
    signing: Signing,
    recorded: Json,
) -> Iterator[Place]:
    """Upgrade the database in place, and serve its pages."""
    world = World(tmp_path_factory.mktemp("upgraded"))
    conninfo = load(in_place=True)
    upgrade(world, conninfo, signing)
    with opened(world, conninfo) as place:
        place.emitted = recorded["emitted"]
        yield place


@pytest.fixture(scope="module")
def answers(place: Place, recorded: Json, request: pytest.FixtureRequest) -> Json:
    """Return what the program answers now, before anything else happens."""
    found = read(place, recorded["mails"])
    if request.config.getoption("--new-words", default=False):
        (FOLDER / WORDS).write_text(words_json(found["words"]), "utf-8")
    recorded["answers"]["words"] = recorded_words()
    return found


@pytest.fixture(scope="module")
def lived(place: Place, recorded: Json, answers: Json, signing: Signing) -> tuple[Json, list[Json]]:
    """Go on living; return what each step brought about, and the published messages."""
    assert answers
    return live(place, recorded, signing)
