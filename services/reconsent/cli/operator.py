"""Who gives an order on this machine."""

from __future__ import annotations

import os
import pwd


def operator() -> str:
    """Return the name of the user who runs the command."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
