"""The migrations in schemas/postgres, applied in their order."""

from __future__ import annotations

import re
from importlib.resources import files

from reconsent.domain.errors import OutsideError
from reconsent.store.postgres import connect, in_one_line

SUPPORTED = range(15, 19)
_MIGRATION = re.compile(r"(\d{4})_\w+\.sql")


def migrate(conninfo: str) -> list[str]:
    """Apply the migrations that are missing; return their names. Two at once are safe."""
    with in_one_line(), connect(conninfo) as connection:
        version = connection.info.server_version // 10000
        if version not in SUPPORTED:
            message = f"database: PostgreSQL {version} is not supported, 15 to 18 are"
            raise OutsideError(message)
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('reconsent.migrate'))")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations ("
            " name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = {name for (name,) in connection.execute("SELECT name FROM migrations")}
        missing = [name for name in migrations() if name not in known]
        for name in missing:
            sql = files("reconsent.schemas").joinpath("postgres", name).read_text("utf-8")
            connection.execute(sql)
            connection.execute("INSERT INTO migrations (name) VALUES (%s)", (name,))
        return missing


def migrations() -> list[str]:
    """Name the migrations in the order in which they apply."""
    folder = files("reconsent.schemas").joinpath("postgres")
    return sorted(path.name for path in folder.iterdir() if _MIGRATION.fullmatch(path.name))
