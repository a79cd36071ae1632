"""Arguments of commands that are no text."""

from __future__ import annotations

import pytest

from reconsent.cli.main import run
from reconsent.config import Settings
from reconsent.program import Program


def _never(_: Settings) -> Program:
    pytest.fail("the program was made")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("explain % --property shop.example", "ACCOUNT"),
        ("explain ann --property %", "--property"),
        ("consents % --property shop.example", "ACCOUNT"),
        ("permit % --property p --category c --use u", "[ACCOUNT]"),
        ("notices --account %", "--account"),
        ("release pause % 1", "POLICY"),
        ("dead-letters list --account % --property p", "--account"),
        ("dead-letters retry accounts:1:1 %", "[ID]..."),
    ],
)
def test_an_argument_that_is_not_utf_8_is_named(
    capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    """Python hands such bytes over as lone surrogates, which no key has."""
    arguments = [part.replace("%", "a\udcff") for part in command.split()]
    assert run(arguments, _never) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"reconsent: Invalid value for '{name}': should be UTF-8"
