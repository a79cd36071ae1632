"""The data that must be erased."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconsent.store.named import named
from reconsent.store.rows import all_rows

if TYPE_CHECKING:
    from reconsent.store.postgres import Connection

SQL = named("read/erasures")


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """Data of an account that must not be kept, with the reason."""

    property: str
    account: str
    data_category: str
    collected_under: str | None
    reason: str


def erasures(connection: Connection) -> list[Erasure]:
    """List the data that must be erased, by property and account."""
    return all_rows(connection, Erasure, SQL["to_erase"])
