"""Where this machine reaches the pages that listen on an address."""

from __future__ import annotations

from typing import Final

_WILDCARD_HOSTS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- replaced, not bound


def local_url(host: str, port: int) -> str:
    """Return the URL on this machine, without a trailing slash."""
    host = _WILDCARD_HOSTS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
