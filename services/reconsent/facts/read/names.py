"""Which names are known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconsent.store.named import named
from reconsent.store.rows import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconsent.store.postgres import Connection

SQL = named("read/names")


def any_account(connection: Connection, properties: Sequence[str]) -> bool:
    """Tell whether an account is known at one of the properties."""
    return bool(values(connection, SQL["any_account"], {"properties": list(properties)}))


def is_account(connection: Connection, properties: Sequence[str], account: str) -> bool:
    """Tell whether an account of a name is known at one of the properties."""
    wanted = {"properties": list(properties), "account": account}
    return bool(values(connection, SQL["account"], wanted))
