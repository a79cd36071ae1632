"""How to connect to Kafka: addresses, TLS, SASL and the prefix of our topic names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOTSTRAP_SERVERS: Final = "KAFKA_BOOTSTRAP_SERVERS"
TOPIC_PREFIX: Final = "RECONSENT_TOPIC_PREFIX"
_PROTOCOL: Final = "KAFKA_SECURITY_PROTOCOL"
_MECHANISM: Final = "KAFKA_SASL_MECHANISM"
_USERNAME: Final = "KAFKA_SASL_USERNAME"
_PASSWORD: Final = "KAFKA_SASL_PASSWORD"  # noqa: S105 -- a variable's name
_CA_FILE: Final = "KAFKA_SSL_CA_FILE"
_CERT_FILE: Final = "KAFKA_SSL_CERT_FILE"
_KEY_FILE: Final = "KAFKA_SSL_KEY_FILE"
_KEY_PASSWORD: Final = "KAFKA_SSL_KEY_PASSWORD"  # noqa: S105 -- a variable's name

_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_KNOWN: Final = frozenset(
    {_MECHANISM, _USERNAME, _PASSWORD, _CA_FILE, _CERT_FILE, _KEY_FILE, _KEY_PASSWORD}
)
KAFKA_NAMES: Final = _KNOWN | {BOOTSTRAP_SERVERS, TOPIC_PREFIX, _PROTOCOL}
"""Every variable that is read."""
# A misspelled variable is an error: ignored, it might leave the connection unprotected.
_CHECKED_PREFIXES: Final = ("KAFKA_SASL_", "KAFKA_SSL_")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):\d{1,5}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,200}")


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """Kafka's addresses, and how to authenticate."""

    bootstrap_servers: tuple[str, ...]
    topic_prefix: str = ""
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The addresses, for people."""
        return ",".join(self.bootstrap_servers)

    @property
    def client(self) -> dict[str, Any]:
        """The settings of every kafka-python client."""
        return {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": "reconsent",
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_cafile": _text(self.ca_file),
            "ssl_certfile": _text(self.cert_file),
            "ssl_keyfile": _text(self.key_file),
            "ssl_password": self.key_password,
        }


def kafka_settings(values: Mapping[str, str]) -> KafkaSettings | None:
    """Read the settings from KAFKA_* and RECONSENT_TOPIC_PREFIX; None if no servers are given.

    The default protocol is SASL_SSL with a user name, SSL with a certificate, else PLAINTEXT.
    Raises BadInputError with the name of the invalid variable.
    """
    servers = tuple(part for part in re.split(r"[\s,]+", values.get(BOOTSTRAP_SERVERS, "")) if part)
    if not servers:
        return None
    for server in servers:
        if not _ADDRESS.fullmatch(server):
            raise BadInputError(f"{BOOTSTRAP_SERVERS}: {server!r} is not a HOST:PORT")
    for name in values:
        if name.startswith(_CHECKED_PREFIXES) and name not in _KNOWN:
            raise BadInputError(f"{name}: unknown variable; known are {', '.join(sorted(_KNOWN))}")
    prefix = values.get(TOPIC_PREFIX, "")
    if not _PREFIX.fullmatch(prefix):
        raise BadInputError(f"{TOPIC_PREFIX}: up to 200 letters, digits, dots, _ and - are allowed")
    protocol = _protocol(values)
    mechanism = username = password = None
    if protocol.startswith("SASL_"):
        mechanism, username, password = _credentials(values)
    return KafkaSettings(
        bootstrap_servers=servers,
        topic_prefix=prefix,
        security_protocol=protocol,
        sasl_mechanism=mechanism,
        sasl_username=username,
        sasl_password=password,
        ca_file=_file(values, _CA_FILE),
        cert_file=_file(values, _CERT_FILE),
        key_file=_file(values, _KEY_FILE),
        key_password=values.get(_KEY_PASSWORD) or None,
    )


def _protocol(values: Mapping[str, str]) -> str:
    if given := values.get(_PROTOCOL):
        return _one_of(_PROTOCOL, given, _PROTOCOLS)
    if values.get(_USERNAME) or values.get(_MECHANISM):
        return "SASL_SSL"
    return "SSL" if values.get(_CA_FILE) or values.get(_CERT_FILE) else "PLAINTEXT"


def _credentials(values: Mapping[str, str]) -> tuple[str, str, str]:
    mechanism = _one_of(_MECHANISM, values.get(_MECHANISM) or "PLAIN", _MECHANISMS)
    for name in (_USERNAME, _PASSWORD):
        if not values.get(name):
            raise BadInputError(f"{name}: is required for SASL")
    return mechanism, values[_USERNAME], values[_PASSWORD]


def _one_of(name: str, given: str, known: tuple[str, ...]) -> str:
    if given.upper() not in known:
        raise BadInputError(f"{name}: {given!r} is not one of {', '.join(known)}")
    return given.upper()


def _file(values: Mapping[str, str], name: str) -> Path | None:
    given = values.get(name)
    if not given:
        return None
    path = Path(given).expanduser()
    try:
        path.open("rb").close()
    except OSError as error:
        raise BadInputError(f"{name}: {given}: {error.strerror}") from error
    return path


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
