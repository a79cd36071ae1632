"""The lists of commands in help: each with a whole sentence, in the order of their use."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from reconsent.cli.main import cli

_GROUPS = [[], *([name] for name, one in cli.commands.items() if isinstance(one, click.Group))]


@pytest.mark.parametrize("group", _GROUPS, ids=lambda names: " ".join(names) or "reconsent")
def test_no_sentence_is_cut(group: list[str]) -> None:
    """A sentence that ends in three dots makes people guess what a command does."""
    ended = CliRunner().invoke(cli, [*group, "--help"])
    _, listed, commands = ended.output.partition("Commands:\n")
    assert listed
    assert "..." not in commands
    wrapped = commands.count("\n   ")
    assert commands.count(".") >= commands.count("\n") - wrapped
