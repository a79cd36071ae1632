"""Addresses to listen on: where this machine reaches them, and whether others do."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

_WILDCARD_HOSTS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- replaced, not bound


def local_url(host: str, port: int) -> str:
    """Return the URL on this machine, without a trailing slash."""
    host = _WILDCARD_HOSTS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
