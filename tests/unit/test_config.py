"""Settings: which variables are read, and what cannot be meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from reconsent.config import NAMES, settings, unread
from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path


class _Read(dict[str, str]):
    """An environment that remembers which variables were asked for."""

    asked: set[str]

    def __init__(self, *given: dict[str, str]) -> None:
        super().__init__(*given)
        self.asked = set()

    @override
    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    @override
    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


def test_every_variable_that_is_read_is_known(tmp_path: Path) -> None:
    """Otherwise a setting would be called unknown."""
    tls = {
        "KAFKA_BOOTSTRAP_SERVERS": "a:1", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p",
    }  # fmt: skip
    asked = set()
    for more in ({}, tls):
        environ = _Read({"RECONSENT_HOME": str(tmp_path), **more})
        settings(environ)
        asked |= environ.asked
    assert asked == NAMES
    assert unread(dict.fromkeys(NAMES, "x")) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("RECONSENT_DELIVERRY", "no such setting: did you mean RECONSENT_DELIVERY? (warning)"),
        ("RECONSENT_API_KEY", "no such setting: did you mean RECONSENT_API_TOKEN? (warning)"),
        ("RECONSENT_ZZZ", None),
        ("MAIL_FROM_INFORMATON", "no such setting: did you mean MAIL_FROM_INFORMATION? (warning)"),
        ("KAFKA_BOOTSTRAP_SERVER", "did you mean KAFKA_BOOTSTRAP_SERVERS? (warning)"),
    ],
)
def test_a_variable_that_nobody_reads_is_told(name: str, told: str | None) -> None:
    """With the closest setting there is."""
    [line] = unread({name: "x", "PATH": "/bin", "KAFKA_HOME": "/opt", "MAIL": "/var/mail/me"})
    assert line.startswith(f"{name}: no such setting")
    if told:
        assert line.endswith(told)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PUBLIC_URL", "https://a.example/?site=1", "has a query"),
        ("PUBLIC_URL", "https://a.example/#top", "has a fragment"),
        ("PUBLIC_URL", "https://me:secret@a.example", "has a user name"),
        ("PUBLIC_URL", "https://[a.example", "is not a valid URL"),
        ("RECONSENT_HOSTS", "a.example, https://b.example", "'https://b.example' is not a name"),
        ("RECONSENT_HOSTS", "a.example:8000", "without a port"),
        ("RECONSENT_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "'proxy' is not a network"),
        ("RECONSENT_TRUSTED_PROXIES", "10.0.0.1/8", "is not a network"),
        ("DATABASE_URL", "mysql://me:secret@a.example/b", "mysql:// is not PostgreSQL"),
        ("DATABASE_URL", "postgresql+psycopg://a.example/b", "write postgresql://"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    """In one line that names the variable and no password."""
    with pytest.raises(BadInputError, match=f"^{name}: [^\n]*{told}") as refused:
        settings({"RECONSENT_HOME": str(tmp_path), "RECONSENT_SECRET": "s", name: value})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgres://a/b", "postgresql://a/b", "host=a dbname=b", "b"])
def test_a_database_of_postgresql_is_not_refused(tmp_path: Path, url: str) -> None:
    """As a URL or in the form of libpq."""
    secrets = {"RECONSENT_SECRET": "s", "RECONSENT_API_TOKEN": "t"}
    environ = {"RECONSENT_HOME": str(tmp_path), "DATABASE_URL": url, **secrets}
    assert settings(environ).database_url == url


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (None, "http://127.0.0.1:8000"),
        ("127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("[::]:9000", "http://[::1]:9000"),
        ("127.0.0.1:0", "http://127.0.0.1:8000"),
    ],
)
def test_links_begin_with_where_the_pages_listen(
    tmp_path: Path, listen: str | None, url: str
) -> None:
    """Unless PUBLIC_URL says where people reach them; a port chosen later is not known yet."""
    environ = {"RECONSENT_HOME": str(tmp_path)} | ({"RECONSENT_LISTEN": listen} if listen else {})
    assert settings(environ).public_url == url
    public = "https://privacy.shop.example"
    assert settings({**environ, "PUBLIC_URL": public}).public_url == public


@pytest.mark.parametrize(
    ("environ", "hosts", "is_local"),
    [
        ({}, {"127.0.0.1", "localhost", "[::1]"}, True),
        ({"RECONSENT_LISTEN": "0.0.0.0:80"}, {"127.0.0.1", "localhost", "[::1]"}, False),
        ({"PUBLIC_URL": "https://P.example:8443/a"}, {"p.example"}, False),
        (
            {"RECONSENT_HOSTS": "In.example,"},
            {"127.0.0.1", "localhost", "[::1]", "in.example"},
            False,
        ),
        (
            {"PUBLIC_URL": "http://127.0.0.2"},
            {"127.0.0.1", "127.0.0.2", "localhost", "[::1]"},
            True,
        ),
    ],
)
def test_the_site_has_names(
    tmp_path: Path, environ: dict[str, str], hosts: set[str], *, is_local: bool
) -> None:
    """PUBLIC_URL's and those that are set; on this machine, all that lead to it."""
    web = settings({"RECONSENT_HOME": str(tmp_path)} | environ).web
    assert set(web.hosts) == hosts
    assert web.is_local == is_local
