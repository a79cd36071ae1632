"""`policy list` and `policy show`: what is published, in force, and governs which property."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from reconsent import terminal
from reconsent.cli.policy_report import describe
from reconsent.cli.with_program import with_program
from reconsent.domain.change import as_event, changes
from reconsent.domain.errors import BadInputError
from reconsent.domain.policy import is_material
from reconsent.domain.spelling import did_you_mean
from reconsent.domain.times import as_written, rfc3339

if TYPE_CHECKING:
    from datetime import datetime

    from reconsent.domain.policy import Policy, PolicyVersion
    from reconsent.facts.versions import Policies
    from reconsent.program import Program

_STATES = {"in_force": "in force", "upcoming": "not in force yet", "replaced": "replaced"}


@click.command("list")
@terminal.json_option
@with_program
def list_(program: Program, *, as_json: bool) -> None:
    """List the published versions, which are in force, and the properties of each policy."""
    policies = program.database.transaction(program.versions.now)
    found = [
        _summary(policies, policy, version, program.now())
        for policy in policies.by_name.values()
        for version in policy.versions
    ]
    if not terminal.for_people(as_json=as_json):
        terminal.lines(found)
        return
    terminal.table(
        ("policy", "version", "follows", "published", "effective", "state", "properties"),
        (
            (
                one["policy"], one["version"], one["follows"], one["published_at"][:10],
                one["effective_at"][:10], _STATES[one["state"]], " ".join(one["properties"]),
            )
            for one in found
        ),
    )  # fmt: skip


@click.command("show")
@click.argument("policy")
@click.argument("version", required=False)
@terminal.json_option
@with_program
def show(program: Program, policy: str, version: str | None, *, as_json: bool) -> None:
    """Show a published VERSION of a POLICY, by default the latest, and what it changed."""
    policies = program.database.transaction(program.versions.now)
    line, found = _find(policies, policy, version)
    summary = _summary(policies, line, found, program.now())
    if as_json:
        terminal.document(summary | {"document": json.loads(as_event(found))})
        return
    click.echo(f"{policy} {found.version}: {_STATES[summary['state']]}")
    click.echo(f"published {summary['published_at']}, effective {summary['effective_at']}")
    click.echo(f"governs {', '.join(found.properties)}\n")
    followed = line.followed_by(found)
    click.echo("\n".join(describe(changes(followed, found), followed, found)))


def _find(policies: Policies, policy: str, version: str | None) -> tuple[Policy, PolicyVersion]:
    line = policies.by_name.get(policy)
    if line is None:
        near = did_you_mean(policy, policies.by_name)
        raise BadInputError(f"{policy}: no such policy is published{near}")
    found = line.latest if version is None else line.by_name.get(version)
    if found is None:
        names = ", ".join(line.by_name)
        raise BadInputError(f"{policy} {version}: is not published; {policy} has {names}")
    return line, found


def _summary(
    policies: Policies, policy: Policy, version: PolicyVersion, now: datetime
) -> dict[str, Any]:
    published_at = policies.published_at[policies.ids[policy.name, version.version]]
    return {
        "policy": policy.name,
        "version": version.version,
        "follows": version.follows,
        "published_at": rfc3339(published_at),
        "effective_at": as_written(version.effective_at),
        "state": _state(policy, version, now),
        "latest": version is policy.latest,
        "material": is_material(version, policy.followed_by(version)),
        "controller": version.controller,
        "joint_controllers": list(version.joint_controllers),
        "properties": list(version.properties),
    }


def _state(policy: Policy, version: PolicyVersion, now: datetime) -> str:
    """Return whether a version is in force, is still to be, or was."""
    if version is policy.in_force(now):
        return "in_force"
    return "upcoming" if version.effective_at > now else "replaced"
