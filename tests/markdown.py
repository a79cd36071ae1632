"""The project's pages, and what is in them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
INTERFACES = ROOT / "docs" / "interfaces.md"
OPERATING = ROOT / "docs" / "operating.md"


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next one of its level or a higher one."""
    level = heading.partition(" ")[0]
    _, found, rest = page.read_text("utf-8").partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def first_cells(text: str) -> list[str]:
    """Return the code spans in the first column of the tables in a text."""
    firsts = [row.split(" | ")[0] for row in re.findall(r"^\| (?=`)(.*)$", text, re.MULTILINE)]
    return [span for cell in firsts for span in re.findall(r"`([^`]+)`", cell)]
