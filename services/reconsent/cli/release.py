"""Commands for releases: list, pause, resume, cancel, resend."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.operator import operator
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.facts.restores import resume_sending
from reconsent.facts.sending.asking_again import Resent, keep_resend_order, resend
from reconsent.facts.sending.releases import (
    Order,
    apply_flags,
    current_release,
    flags,
    order,
    releases,
)
from reconsent.facts.versions import Policies
from reconsent.store.postgres import Connection

if TYPE_CHECKING:
    from reconsent.facts.sending.releases import Release
    from reconsent.program import Program

_AT_ONCE = 20_000
_DONE = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


@click.group(cls=terminal.Commands)
def release() -> None:
    """List the releases; pause, resume or cancel one, or ask again what did not arrive."""


@release.command("list")
@terminal.json_option
@with_program
def list_releases(program: Program, *, as_json: bool) -> None:
    """List the releases, each with the states of its notices."""

    def read(connection: Connection) -> list[Release]:
        return releases(connection, program.versions.now(connection))

    found = program.database.transaction(read)
    if not terminal.for_people(as_json=as_json):
        terminal.lines(map(_json, found))
        return
    terminal.table(
        ("policy", "version", "state", "notices"),
        ((one.policy, one.policy_version, one.state, _in_words(one)) for one in found),
    )


def _in_words(one: Release) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in _states(one).items()) or "none"


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
    """Stop sending the mails of a release, within a second, until it is resumed.

    Mails already handed to the provider are still delivered. Answers are recorded as usual.
    """
    _order(program, "pause", policy, version, as_json=as_json)


@release.command()
@click.argument("policy", required=False)
@click.argument("version", required=False)
@click.option(
    "--after-restore",
    is_flag=True,
    help="Let mail leave again after the database was restored, instead of resuming a release.",
)
@terminal.json_option
@with_program
def resume(
    program: Program,
    policy: str | None,
    version: str | None,
    *,
    after_restore: bool,
    as_json: bool,
) -> None:
    """Resume a paused release, or all sending after a restore."""
    if after_restore:
        if policy:
            raise click.UsageError("--after-restore applies to all releases: give no POLICY")
        _resume_after_restore(program, as_json=as_json)
    elif policy and version:
        _order(program, "resume", policy, version, as_json=as_json)
    else:
        raise click.UsageError("give a POLICY and a VERSION, or --after-restore")


@release.command()
@click.argument("policy")
@click.argument("version")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@terminal.json_option
@with_program
def cancel(program: Program, policy: str, version: str, *, yes: bool, as_json: bool) -> int:
    """Stop a release permanently: nobody else is mailed about the version.

    The version stays published, and its new uses stay denied without a yes. People who were mailed
    can still answer. A later version asks again. Asks for confirmation on a terminal; the exit
    code is 1 if it is not given.
    """
    if not yes and sys.stdin.isatty():
        waiting = _waiting(program, policy, version)
        people = "1 account waits" if waiting == 1 else f"{waiting:,} accounts wait"
        question = f"{people} for its mail. Cancel the release of {policy} {version} permanently?"
        if not click.confirm(question, err=True):
            terminal.complain("nothing was cancelled")
            return 1
    _order(program, "cancel", policy, version, as_json=as_json)
    return 0


@release.command("resend")
@click.argument("policy")
@click.argument("version")
@click.option("--reason", help="Why it did not arrive; it is kept.")
@terminal.json_option
@with_program
def resend_release(
    program: Program, policy: str, version: str, reason: str | None, *, as_json: bool
) -> None:
    """Ask again, at the same addresses, what did not arrive for a fault of ours.

    For a mail server's listing, a broken mail and the like. Mailboxes that are marked as bounced or
    complained get nothing.
    """

    def begin(connection: Connection) -> int:
        policies = program.versions.locked(connection)
        version_id = current_release(policies, policy, version)
        if flags(connection, version_id).cancelled:
            raise BadInputError(f"release: {policy} {version} was cancelled, which is permanent")
        return version_id

    version_id = program.database.transaction(begin)
    at, resent = datetime.now(UTC), Resent(0, 0)
    while some := program.database.transaction(lambda c: resend(c, version_id, at, _AT_ONCE)):
        resent = resent.plus(some)

    def keep(connection: Connection) -> None:
        by, notices = operator(), resent.asked_again
        keep_resend_order(connection, version_id, at, said_by=by, reason=reason, notices=notices)

    program.database.transaction(keep)
    if as_json:
        found = {"policy": policy, "policy_version": version, "order": "resend"}
        terminal.document(found | resent._asdict())
    else:
        asked_again = terminal.plural(resent.asked_again, "notice")
        marked = f"; {resent.marked:,} not, because the mailbox is marked" if resent.marked else ""
        click.echo(f"{policy} {version}: {asked_again} asked again{marked}")


def _waiting(program: Program, policy: str, version: str) -> int:
    """Count the notices of a release that would be mailed."""

    def read(connection: Connection) -> list[Release]:
        policies = program.versions.locked(connection)
        current_release(policies, policy, version)
        return releases(connection, policies)

    found = program.database.transaction(read)
    [one] = [each for each in found if (each.policy, each.policy_version) == (policy, version)]
    return sum(count for state, count in _states(one).items() if state in ("planned", "due"))


def _resume_after_restore(program: Program, *, as_json: bool) -> None:
    changed = program.database.transaction(resume_sending)
    if as_json:
        terminal.document({"order": "resume", "after_restore": True, "changed": changed})
    elif changed:
        click.echo("mail leaves again")
    else:
        click.echo("mail was not on hold after a restore")


def _order(program: Program, what: Order, policy: str, version: str, *, as_json: bool) -> None:
    """Set the flag, which applies at once, then update the notices to match it."""

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
        already = "" if changed else "already "
        click.echo(f"{policy} {version}: {already}{_DONE[what]}")
