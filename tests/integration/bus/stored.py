"""What the embedded bus keeps."""

from __future__ import annotations

from reconsent.store.postgres import Connection


def stored(connection: Connection, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """Read the keys and values of a topic."""
    rows = connection.execute(
        "SELECT key, value FROM bus_messages WHERE topic = %s ORDER BY key, partition", (topic,)
    )
    return rows.fetchall()
