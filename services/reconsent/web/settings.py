"""Where pages and API are served, by which names, and behind which proxies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from reconsent.domain.errors import BadInputError
from reconsent.domain.listening import is_loopback, local_url

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB_NAMES: Final = frozenset(
    {"PUBLIC_URL", "RECONSENT_HOSTS", "RECONSENT_LISTEN", "RECONSENT_TRUSTED_PROXIES"}
)
"""Every variable that is read."""

PUBLIC_URL: Final = "http://127.0.0.1:8000"
LISTEN: Final = ("127.0.0.1", 8000)
_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
"""The names by which a machine is reached from itself."""

_LAST_PORT: Final = 65535
_LONGEST_URL: Final = 500
_HEADER_SAFE: Final = re.compile(rf"[!#-;=?-~]{{1,{_LONGEST_URL}}}")
"""PUBLIC_URL is the start of the links in List-Unsubscribe, a header of one line."""
_HOST: Final = re.compile(r"[0-9a-z._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Settings of the web server."""

    public_url: str
    listen: tuple[str, int]
    hosts: frozenset[str]
    """The names that requests may call it by, lower-case, without ports."""
    trusted_proxies: tuple[str, ...]
    """Networks whose word on where a request comes from is taken."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.listen[0]) and all(map(_is_loopback_name, self.hosts))


def web_settings(environ: Mapping[str, str]) -> WebSettings:
    """Read the settings. Raises BadInputError, which names the setting that is not valid."""
    listen = _listen(environ.get("RECONSENT_LISTEN") or ":".join(map(str, LISTEN)))
    reached_at = local_url(*listen) if listen[1] else PUBLIC_URL
    public_url = _public_url(environ.get("PUBLIC_URL") or reached_at)
    return WebSettings(
        public_url=public_url,
        listen=listen,
        hosts=_hosts(public_url, environ.get("RECONSENT_HOSTS") or ""),
        trusted_proxies=_networks(environ.get("RECONSENT_TRUSTED_PROXIES") or ""),
    )


def _public_url(text: str) -> str:
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not url.netloc:
        message = f"PUBLIC_URL: {text!r} is not a valid URL such as https://privacy.example.com"
        raise BadInputError(message)
    for mark, what in (("?", "a query"), ("#", "a fragment")):
        if mark in text:
            raise BadInputError(
                f"PUBLIC_URL: {text!r} has {what}, which no link can begin with; leave out {mark}"
                " and what follows"
            )
    if "@" in url.netloc:
        raise BadInputError(
            "PUBLIC_URL: has a user name, which would be in every link; leave it out"
        )
    if not _HEADER_SAFE.fullmatch(text):
        raise BadInputError(
            f"PUBLIC_URL: {text[:80]!r} cannot be used in a mail header: at most {_LONGEST_URL}"
            " ASCII characters, without spaces, quotes or angle brackets"
        )
    return text.rstrip("/")


def _hosts(public_url: str, more: str) -> frozenset[str]:
    """Return the names of the site; on this machine, all that lead to it."""
    public = without_port(urlsplit(public_url).netloc)
    named = {name.strip().lower().removesuffix(".") for name in more.split(",")} - {""}
    for name in named:
        if not _HOST.fullmatch(name):
            message = f"RECONSENT_HOSTS: {name!r} is not a name such as privacy.example.com"
            raise BadInputError(f"{message}, without a port")
    return frozenset({public, *named, *(_LOOPBACK if _is_loopback_name(public) else ())})


def _is_loopback_name(name: str) -> bool:
    return is_loopback(name.strip("[]"))


def without_port(host: str) -> str:
    """Return the name in a Host header, lower-case."""
    return re.sub(r":\d*$", "", host).lower().removesuffix(".")


def _networks(text: str) -> tuple[str, ...]:
    networks = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            message = f"RECONSENT_TRUSTED_PROXIES: {network!r} is not a network such as 10.0.0.0/8"
            raise BadInputError(message) from error
    return networks


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LAST_PORT:
        message = f"RECONSENT_LISTEN: {text!r} is not a HOST:PORT such as 127.0.0.1:8000"
        raise BadInputError(message)
    return host.strip("[]"), int(port)
