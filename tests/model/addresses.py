"""RULES 15: addresses as they come in, and the one spelling by which mailboxes are compared."""

from __future__ import annotations

import unicodedata

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"


def mended(email: str | None) -> str | None:
    """Take blanks around an address and zero-width characters away; an empty one is none."""
    return "".join(c for c in email or "" if c not in ZERO_WIDTH).strip() or None


def mailbox(email: str) -> str:
    """Write an address in small letters, with its domain as the DNS has it."""
    local, _, domain = unicodedata.normalize("NFC", email).lower().rpartition("@")
    labels = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in domain.split(".")
    ]
    return f"{local}@{'.'.join(labels)}"
