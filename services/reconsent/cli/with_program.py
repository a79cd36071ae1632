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
        return command(click.get_current_context().obj(), *args, **kwargs)

    return call
