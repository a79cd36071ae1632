"""`status`: services, backlogs and notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from reconsent import terminal
from reconsent.cli.dead_letter_report import readable
from reconsent.cli.rollout import Late, late
from reconsent.cli.unknown_names import Unknown, unknown_now
from reconsent.cli.with_program import with_program
from reconsent.domain.times import as_written, rfc3339
from reconsent.facts.read.counts import Status
from reconsent.facts.read.counts import status as count
from reconsent.store.postgres import Connection
from reconsent.store.stops import by_topic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from reconsent.program import Program

_MOST_NAMES: Final = 10


@click.command()
@terminal.json_option
@with_program
def status(program: Program, *, as_json: bool) -> None:
    """Show the running services, the backlog of each topic, and the notices by state."""

    def work(connection: Connection) -> tuple[Status, list[Unknown], list[Late]]:
        policies = program.versions.now(connection)
        found = count(connection, policies, program.lags(connection))
        in_force = late(policies, found.notices, program.now())
        return found, unknown_now(program, connection), in_force

    found, unknown, in_force = program.database.transaction(work)
    # Mail into the mailbox goes on after a restore.
    held = None if program.settings.mailbox else found.held_since
    held_since = rfc3339(held) if held else None
    if as_json:
        _print_json(found, held_since, unknown, in_force)
    else:
        _print_stopped(found, held_since)
        _print_tables(found)
        _print_late(in_force)
        _print_unknown(unknown)


def _print_json(
    found: Status, held_since: str | None, unknown: Sequence[Unknown], in_force: Sequence[Late]
) -> None:
    by_state: dict[str, int] = {}
    for row in found.notices:
        by_state[row.state] = by_state.get(row.state, 0) + row.notices
    terminal.document(
        {
            "services": found.services,
            "lags": found.lags,
            "dead_letters": found.dead_letters,
            "notices": by_state,
            "early": [
                {
                    "topic": row.topic,
                    "source": row.source,
                    "events": row.statements,
                    "ahead_seconds": round(row.ahead.total_seconds()),
                }
                for row in found.early
            ],
            "releases": [row._asdict() for row in found.notices],
            "sending_held_since": held_since,
            "reports_not_ours": found.not_ours,
            "late": [
                one._asdict() | {"effective_at": as_written(one.effective_at)} for one in in_force
            ],
            "unknown_names": [name._asdict() | {"events": n} for name, n, _ in unknown],
            "stopped_topics": {
                topic: {"since": rfc3339(stop.stopped_at), "why": stop.reason}
                for topic, stop in by_topic(found.stopped).items()
            },
        }
    )


def _print_stopped(found: Status, held_since: str | None) -> None:
    if held_since:
        click.echo(
            f"Mail has been on hold since {held_since}: the database was restored.\n"
            "Decide about the notices that are due, then run:"
            " reconsent release resume --after-restore\n"
        )
    for topic, stop in by_topic(found.stopped).items():
        click.echo(f"{topic} has been stopped since {rfc3339(stop.stopped_at)}:")
        click.echo(readable(stop.reason))
        if stop.accepted:
            click.echo("Its messages were accepted as dead letters: it goes on when intake runs.\n")
        else:
            click.echo(
                "It is tried again by itself. Find the cause; or, if the messages are at fault,"
                f" run: reconsent dead-letters accept {topic}\n"
            )


def _print_late(in_force: Sequence[Late]) -> None:
    for one in in_force:
        waiting = terminal.plural(one.waiting, "mail about it waits", "mails about it wait")
        click.echo(
            f"\n{one.policy} {one.policy_version} has been in force since"
            f" {as_written(one.effective_at)}, and {waiting} still."
        )


def _print_unknown(unknown: Sequence[Unknown]) -> None:
    if unknown:
        click.echo("\nIn events there are names that nothing here has; they may be misspelt:")
    for _, _, words in unknown[:_MOST_NAMES]:
        click.echo(f"  {words}")
    if len(unknown) > _MOST_NAMES:
        click.echo(f"  and {len(unknown) - _MOST_NAMES:,} more: reconsent status --json")


def _print_tables(found: Status) -> None:
    if found.services:
        terminal.table(("service", "processes"), found.services.items())
    else:
        click.echo("No service is running: reconsent up")
    click.echo()
    terminal.table(
        ("topic", "backlog", "dead letters"),
        ((topic, lag, found.dead_letters[topic]) for topic, lag in found.lags.items()),
    )
    if found.notices:
        click.echo()
        terminal.table(
            ("policy", "version", "kind", "state", "why", "notices"),
            ((*row[:-1], f"{row.notices:,}") for row in found.notices),
        )
    if found.not_ours:
        reports = terminal.plural(found.not_ours, "mail event was", "mail events were")
        click.echo(f"\n{reports} about mails of other senders.")
    if found.early:
        click.echo("\nEvents whose times were ahead of when they came in; they count from then:")
        terminal.table(
            ("topic", "source", "events", "up to"),
            ((row.topic, row.source, row.statements, _round(row.ahead)) for row in found.early),
        )


def _round(ahead: timedelta) -> str:
    return f"{ahead.days} d" if ahead.days else f"{ahead.seconds // 60} min"
