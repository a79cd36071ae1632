"""Gives commands access to the program."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from reconsent.program import Program

P = ParamSpec("P")
R = TypeVar("R")


def with_program(command: Callable[Concatenate[Program, P], R]) -> Callable[P, R]:
    """Pass the program as a command's first argument."""

    @wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        context = click.get_current_context()
        _check_texts(context)
        return command(context.obj(), *args, **kwargs)

    return call


def _check_texts(context: click.Context) -> None:
    """Reject what is not UTF-8: no key is. A path may be any bytes."""
    for parameter in context.command.params:
        given = context.params.get(parameter.name or "")
        for text in given if isinstance(given, tuple) else (given,):
            if isinstance(text, str) and not isinstance(parameter.type, click.Path):
                try:
                    text.encode()
                except UnicodeEncodeError as error:
                    raise click.BadParameter("should be UTF-8", param=parameter) from error
