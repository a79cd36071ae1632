"""A server on which tests make roles and databases, and commands that use one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.store.servers import Server


@pytest.fixture(scope="module")
def admin(server: str) -> Server:
    """Return the server."""
    return Server(server)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that lets commands use a database."""

    def used(conninfo: str) -> None:
        for name, value in {
            "RECONSENT_HOME": str(tmp_path),
            "DATABASE_URL": conninfo,
            "RECONSENT_SECRET": "secret",
            "RECONSENT_API_TOKEN": "token",
            "RECONSENT_LISTEN": "127.0.0.1:0",
        }.items():
            monkeypatch.setenv(name, value)

    return used
