"""A home that the embedded PostgreSQL cannot use is named, and left as it is."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from reconsent.embedded.user import EmbeddedError, join
from tests.embedded_programs import (
    command,
    joined,
    surroundings,
)


def test_data_of_another_major_version_is_not_touched(fresh: Path) -> None:
    """One line names both versions, and nothing is changed."""
    data = fresh / "postgres" / "data"
    data.mkdir(parents=True, mode=0o700)
    data.parent.chmod(0o700)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"^.*PostgreSQL 12, .* PostgreSQL 1[5-8]\b.*$"):
        join(fresh)
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]


def test_programs_that_are_missing_or_broken_are_named(tmp_path: Path, fresh: Path) -> None:
    """One line names the program that does not run, and its output."""
    with pytest.raises(EmbeddedError, match=rf"^{tmp_path}/none/postgres does not run.*No such.*$"):
        join(fresh, binaries=tmp_path / "none")
    broken = tmp_path / "broken" / "postgres"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'wrong machine' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EmbeddedError, match=r"^.*does not run \(exit code 3\): wrong machine$"):
        join(fresh, binaries=broken.parent)


def test_damaged_data_is_an_error_with_the_log_tail(home: Path) -> None:
    """If the server cannot start, one line says why, at each try."""
    control = home / "postgres/data/global/pg_control"
    control.rename(control.with_name("lost"))
    for _ in range(2):
        with pytest.raises(EmbeddedError, match=r"^PostgreSQL did not start: .*pg_control.*$"):
            join(home)
    control.with_name("lost").rename(control)
    with joined(home) as user:
        assert user.ask("select current_user") == ["reconsent"]


def test_a_folder_open_to_others_is_refused(fresh: Path) -> None:
    """Only the folder's mode protects the database from other users."""
    (fresh / "postgres").mkdir(parents=True)
    (fresh / "postgres").chmod(0o755)
    with pytest.raises(EmbeddedError, match=r"^other users may enter .*$"):
        join(fresh)
    assert stat.S_IMODE((fresh / "postgres").stat().st_mode) == 0o755


@pytest.mark.parametrize("megabytes", [4, 20])
def test_a_full_disk_is_named(tmp_path: Path, megabytes: int) -> None:
    """One line says that the disk is full, and no partial database is left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs '{disk}'"
    try:
        subprocess.run([*alone, "sh", "-c", mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    listing = f'"$@"; code=$?; ls "{disk}/home/postgres"; exit $code'
    ended = subprocess.run(
        [*alone, "sh", "-c", f"{mount} && {listing}", "sh", *command(disk / "home")],
        env=surroundings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "No space left on device" in ended.stderr
    assert ended.stdout.split() == ["server.lock", "server.log", "users.lock"]
