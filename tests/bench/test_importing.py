"""Importing files of accounts and collections, beside COPY of the files' columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Final

import pytest

from reconsent.cli.importing import import_file
from reconsent.domain.lane import LANES
from reconsent.domain.signing import Signer
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.files.checking import Rules
from reconsent.files.staging import staged
from reconsent.store.postgres import Database, open_database
from reconsent.workers.running import collect_rarely
from tests.bench.floors import bare
from tests.bench.rows import TIMES, Row, Table, seconds

_EVENTS: Final = 200_000
_SITE: Final = "shop.example"
_AT: Final = "2026-11-01T10:00:00Z"
_CATEGORY: Final = "user.contact.email"
_HASHED: Final = Signer("s").address_hash
_ACCOUNTS: Final = (
    "COPY bare_accounts (bucket, account_key, property, account, status, contact, minor, email,"
    " name, locale, updated_at, address_hash) FROM STDIN"
)
_HISTORY: Final = (
    "COPY bare_account_history (bucket, account_key, since, status, contact, minor) FROM STDIN"
)
_COLLECTIONS: Final = (
    "COPY bare_collections (bucket, account_key, data_category, collected_under, collected_at,"
    " source) FROM STDIN"
)
_ROWS: Final = {
    "accounts": Row(
        name="import-accounts",
        path="import accounts, check included",
        floor="COPY into tables like accounts and their history",
        least=0.6,
    ),
    "collections": Row(
        name="import-collections",
        path="import collections, check included",
        floor="COPY into a table like collections",
        least=0.25,
    ),
}


@pytest.mark.rows("import-accounts", "import-collections")
def test_importing(make_database: Callable[[], str], table: Table, tmp_path: Path) -> None:
    """The accounts of a new database, and then a collection of each of them."""
    path: dict[str, list[float]] = {topic: [] for topic in _ROWS}
    floor: dict[str, list[float]] = {topic: [] for topic in _ROWS}
    for _ in range(TIMES):
        with open_database(make_database()) as database:
            for topic in _ROWS:
                make_floor(database, topic)
                imported, copied = measure_import(database, topic, tmp_path, 0, _EVENTS)
                path[topic].append(imported)
                floor[topic].append(copied)
    for topic, row in _ROWS.items():
        table.add(row, items=_EVENTS, path=path[topic], floor=floor[topic], note=f"{_EVENTS:,}")
    for sql in (_ACCOUNTS, _HISTORY, _COLLECTIONS):
        table.floor(sql.split()[1], sql)


def measure_import(
    database: Database, topic: str, folder: Path, first: int, events: int
) -> tuple[float, float]:
    """Import this many new facts about the accounts with numbers from `first` on; COPY the same.

    For collections, the accounts must have been imported. The floor must have been made. Returns
    the seconds of both.
    """
    file = write_events(topic, folder, first, events)
    copied = seconds_of_copies(database, topic, first, events)
    imported = seconds(lambda: import_events(database, topic, file))
    return imported, copied


def make_floor(database: Database, topic: str, *, filled: bool = False) -> None:
    """Make the bare tables of a topic, empty or as full as the real ones."""
    names = ("accounts", "account_history") if topic == "accounts" else ("collections",)
    with database.connection() as connection:
        for name in names:
            bare(connection, name)
            if filled:
                connection.execute(_FILL[name])


def write_events(topic: str, folder: Path, first: int, events: int) -> Path:
    """Write a file of events about the accounts with numbers from `first` on."""
    file = folder / f"{topic}.ndjson"
    with file.open("w") as lines:
        lines.writelines(_line(topic, number) for number in range(first, first + events))
    return file


_FILL: Final = {
    "accounts": "INSERT INTO bare_accounts (bucket, account_key, property, account, status,"
    " contact, minor, email, name, locale, updated_at, address_hash)"
    " SELECT bucket, account_key, property, account, status, contact, minor, email, name, locale,"
    " updated_at, address_hash FROM accounts",
    "account_history": "INSERT INTO bare_account_history SELECT * FROM account_history",
    "collections": "INSERT INTO bare_collections SELECT * FROM collections",
}


def import_events(database: Database, topic: str, file: Path) -> None:
    """Import a file as the command does."""
    collect_rarely()
    now = datetime(2026, 12, 1, tzinfo=UTC)
    recorders = [Recorder(PublishedVersions(), _HASHED, lambda: now) for _ in range(LANES)]
    with staged(str(file), Rules(topic, now, _HASHED)) as events:
        done = import_file(database, recorders, events, lambda *_: None)
    assert done.new == events.count


def seconds_of_copies(database: Database, topic: str, first: int, events: int) -> float:
    """Return how long COPY takes for the same columns."""
    rows = [_columns(number) for number in range(first, first + events)]
    copies = {
        _ACCOUNTS: _blocks(
            f"{bucket}\t{key}\t{_SITE}\t{account}\tactive\tall\tf\t{account}@example.com"
            f"\tJo Doe\ten\t{_AT}\t\\\\x{_HASHED(f'{account}@example.com').hex()}\n"
            for bucket, key, account in rows
        ),
        _HISTORY: _blocks(f"{bucket}\t{key}\t{_AT}\tactive\tall\tf\n" for bucket, key, _ in rows),
    }
    if topic == "collections":
        copies = {
            _COLLECTIONS: _blocks(
                f"{bucket}\t{key}\t{_CATEGORY}\tv1\t{_AT}\tperson\n" for bucket, key, _ in rows
            )
        }

    def copy_all() -> None:
        with database.connection() as connection:
            for command, blocks in copies.items():
                with connection.cursor() as cursor, cursor.copy(command) as copy:
                    for block in blocks:
                        copy.write(block)
            connection.commit()

    return seconds(copy_all)


def _columns(number: int) -> tuple[int, int, str]:
    account = f"user-{number}"
    bucket = int(md5(f"{_SITE}/{account}".encode()).hexdigest()[:2], 16) & 63  # noqa: S324
    return bucket, (number + 1_000_000_000) << 6 | bucket, account


def _blocks(lines: Iterator[str]) -> list[bytes]:
    """Join lines into blocks of a size that suits COPY."""
    text = "".join(lines).encode()
    return [text[at : at + 65_536] for at in range(0, len(text), 65_536)]


def _line(topic: str, number: int) -> str:
    key = {"property": _SITE, "account": f"user-{number}"}
    data = (
        {
            "email": f"user-{number}@example.com",
            "name": "Jo Doe",
            "locale": "en",
            "status": "active",
            "contact": "all",
            "updated_at": _AT,
        }
        if topic == "accounts"
        else {"data_category": _CATEGORY, "collected_under": "v1", "collected_at": _AT}
    )
    return json.dumps(key | data) + "\n"
