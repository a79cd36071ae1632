"""MAIL_URL for SMTP: which server, as which user, and how the connection is encrypted.

    smtp://user:password@host:port?starttls=required&connections=4
    smtps://user:password@host:port                     TLS from the first byte

Credentials are only ever sent over an encrypted connection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import idna

from reconsent.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

StartTls = Literal["required", "when_offered", "never"]

SCHEMES: Final = ("smtp", "smtps")
_PORTS: Final = {"smtp": 587, "smtps": 465}
_LOCAL_PORT: Final = 25
_CONNECTIONS: Final = 4
_MOST_CONNECTIONS: Final = 50
_LABEL: Final = re.compile(r"[\w-]{1,63}")
_OPTIONS: Final = ("starttls", "connections", "ca_file", "name")


@dataclass(frozen=True, kw_only=True)
class SmtpSettings:
    """Where a mail server is, and how to log in."""

    host: str
    port: int
    tls: Literal["from_start"] | StartTls
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    connections: int = _CONNECTIONS
    """The most connections at the same time."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    name: str | None = None
    """What the client calls itself; its own address otherwise."""

    @property
    def place(self) -> str:
        """The server, for error messages."""
        return f"MAIL_URL: {self.host}:{self.port}"


def smtp_settings(url: str) -> SmtpSettings:
    """Parse a MAIL_URL of a scheme in SCHEMES; raises BadInputError, never with the password."""
    parts = urlsplit(url)
    options = _options(parts.query)
    if parts.path not in {"", "/"} or parts.fragment:
        raise BadInputError("MAIL_URL: has something after HOST:PORT that is not ?option=value")
    host = _host(parts)
    user, password = _credentials(parts)
    if user and options.get("starttls") == "never":
        raise BadInputError("MAIL_URL: user and password are never sent without TLS")
    local = _is_local(host)
    port = _LOCAL_PORT if local and parts.scheme == "smtp" else _PORTS[parts.scheme]
    return SmtpSettings(
        host=host,
        port=_port(parts) or port,
        tls=_tls(parts.scheme, options.get("starttls"), private=bool(user) or not local),
        user=user,
        password=password,
        connections=_connections(options.get("connections", str(_CONNECTIONS))),
        ca_file=_ca_file(options.get("ca_file")),
        name=_name(options.get("name")),
    )


def _options(query: str) -> Mapping[str, str]:
    given = parse_qsl(query, keep_blank_values=True)
    options = dict(given)
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise BadInputError(
            f"MAIL_URL: {unknown[0]!r} is not an option; the options are {', '.join(_OPTIONS)}"
        )
    if len(options) != len(given):
        raise BadInputError("MAIL_URL: an option is listed twice")
    return options


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        if ":" in host:
            return str(ip_address(host))
        return host if host.isascii() and _is_name(host) else idna.encode(host).decode("ascii")
    except ValueError as error:
        raise BadInputError(
            "MAIL_URL: has no valid host; an example is smtp://mail.example.com"
        ) from error


def _is_name(host: str) -> bool:
    return all(map(_LABEL.fullmatch, host.rstrip(".").split(".")))


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise BadInputError("MAIL_URL: the port is not a number from 1 to 65535")
    return port


def _credentials(parts: SplitResult) -> tuple[str, str] | tuple[None, None]:
    if parts.username is None and parts.password is None:
        return None, None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user or not password:
        raise BadInputError("MAIL_URL: user and password belong together, as user:password@host")
    if "\0" in user + password:
        raise BadInputError("MAIL_URL: user or password has a character that is not allowed")
    return user, password


def _tls(scheme: str, asked: str | None, *, private: bool) -> Literal["from_start"] | StartTls:
    if scheme == "smtps":
        if asked is not None:
            raise BadInputError(
                "MAIL_URL: starttls is for smtp://; smtps:// uses TLS from the start"
            )
        return "from_start"
    if asked is None:
        # Within one machine TLS protects nothing, and few local servers have a certificate.
        return "required" if private else "never"
    if asked not in get_args(StartTls):
        raise BadInputError(f"MAIL_URL: starttls must be one of {', '.join(get_args(StartTls))}")
    return cast("StartTls", asked)


def _is_local(host: str) -> bool:
    """Tell whether mail to a host stays on this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _connections(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_CONNECTIONS:
        raise BadInputError(f"MAIL_URL: connections must be a number from 1 to {_MOST_CONNECTIONS}")
    return int(text)


def _ca_file(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text)
    if not path.is_file():
        raise BadInputError(f"MAIL_URL: ca_file: {text!r} is not a file")
    return path


def _name(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and _is_name(text)):
        raise BadInputError(f"MAIL_URL: name: {text!r} is not a valid domain name")
    return text
