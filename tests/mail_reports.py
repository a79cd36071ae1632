"""Mails that report what became of a mail, in the forms of several mail servers."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

_FOLDER: Final = Path(__file__).parent / "reports"

NAMES: Final = sorted(path.stem for path in _FOLDER.glob("*.eml"))


def report(name: str, *, notice: str, email: str, return_path: str) -> bytes:
    """Return a mail, as the form of that name has it, about a notice's mail to an address."""
    template = Template((_FOLDER / f"{name}.eml").read_text("utf-8"))
    return template.substitute(notice=notice, email=email, return_path=return_path).encode()
