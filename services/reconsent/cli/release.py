"""Commands about releases: how far they are; pause, resume, cancel one."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.facts.sending.releases import Order, apply_flags, order, releases
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.facts.sending.releases import Release
    from reconsent.program import Program

_AT_ONCE = 20_000
_DONE = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


@click.group()
def release() -> None:
    """List the releases; pause, resume or cancel one."""


@release.command("list")
@terminal.json_option
@with_program
def list_releases(program: Program, *, as_json: bool) -> None:
    """List the releases, each with the states of its notices."""

    def read(connection: Connection) -> list[Release]:
        return releases(connection, program.versions.now(connection))

    found = program.database.transaction(read)
    if as_json:
        terminal.lines(map(_json, found))
        return
    for one in found:
        states = ", ".join(f"{count:,} {state}" for state, count in _states(one).items())
        click.echo(f"{one.policy} {one.policy_version}: {one.state}; {states or 'no notices'}")


def _json(one: Release) -> dict[str, Any]:
    return {
        "policy": one.policy,
        "policy_version": one.policy_version,
        "state": one.state,
        "notices": _states(one),
    }


def _states(one: Release) -> dict[str, int]:
    states: Counter[str] = Counter()
    for count in one.counts:
        states[count.state] += count.notices
    return dict(states)


@release.command()
@click.argument("policy")
@click.argument("version")
@terminal.json_option
@with_program
def pause(program: Program, policy: str, version: str, *, as_json: bool) -> None:
    """Hold the rest of a release back, within a second, until it is resumed.

    What a provider has taken over by then is on its way. Answers are recorded as always.
    """
    _order(program, "pause", policy, version, as_json=as_json)


@release.command()
@click.argument("policy")
@click.argument("version")
@terminal.json_option
@with_program
def resume(program: Program, policy: str, version: str, *, as_json: bool) -> None:
    """Let a paused release go on."""
    _order(program, "resume", policy, version, as_json=as_json)


@release.command()
@click.argument("policy")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask whether this is meant.")
@terminal.json_option
@with_program
def cancel(program: Program, policy: str, version: str, *, yes: bool, as_json: bool) -> int:
    """Mail nobody else about a version, for good; until people say yes its new uses stay denied.

    The version stays published. Who was mailed can still answer. A later version asks again. On a
    terminal it asks first; the exit code is 1 if that is not confirmed.
    """
    question = f"Cancel the release of {policy} {version} for good?"
    if not yes and sys.stdin.isatty() and not click.confirm(question, err=True):
        terminal.complain("nothing was cancelled")
        return 1
    _order(program, "cancel", policy, version, as_json=as_json)
    return 0


def _order(program: Program, what: Order, policy: str, version: str, *, as_json: bool) -> None:
    """Set the flag, which counts at once, then bring the notices in step with it."""

    def set_flag(connection: Connection) -> tuple[bool, Policies]:
        policies = program.versions.locked(connection)
        return order(connection, policies, what, policy, version), policies

    changed, policies = program.database.transaction(set_flag)
    while program.database.transaction(lambda c: apply_flags(c, policies, _AT_ONCE)):
        pass
    if as_json:
        terminal.document(
            {"policy": policy, "policy_version": version, "order": what, "changed": changed}
        )
    else:
        already = "" if changed else " already"
        click.echo(f"{policy} {version}: {_DONE[what]}{already}")
