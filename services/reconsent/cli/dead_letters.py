"""Commands for dead letters: list, show, retry, discard; and accept, which lets a topic go on.

Each decision is logged, with the time and the user.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from reconsent import terminal
from reconsent.cli import dead_letter_report as report
from reconsent.cli.asked_names import about_list
from reconsent.cli.operator import operator
from reconsent.cli.with_program import with_program
from reconsent.domain import dead_letters as rules
from reconsent.domain.dead_letters import DeadLetter, Id, in_order
from reconsent.domain.errors import BadInputError, RefusedError
from reconsent.domain.event import TOPICS
from reconsent.facts.record.dead_letters import Retried, retry_lines
from reconsent.facts.record.recorder import Recorder
from reconsent.store.dead_letters import read, remove, waiting
from reconsent.store.stops import accept
from reconsent.telemetry.log_events import DEAD_LETTER_DECIDED, TOPIC_ACCEPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reconsent.program import Program

_SHOWN_BEFORE_ASKING: Final = 20

_topic_option = click.option("--topic", type=click.Choice(list(TOPICS)), help="Only of this topic.")
_all_option = click.option("--all", "everything", is_flag=True, help="All dead letters.")
_ids = click.argument("ids", nargs=-1, metavar="[ID]...")


@click.group("dead-letters", cls=terminal.Commands)
def dead_letters_group() -> None:
    """List, show, retry, discard or accept messages that could not be used."""


@dead_letters_group.command("list")
@_topic_option
@click.option("--account", help="Only of this account, by the message's key.")
@click.option("--property", "property_name", help="The account's web site or app.")
@terminal.json_option
@with_program
def list_(
    program: Program,
    topic: str | None,
    account: str | None,
    property_name: str | None,
    *,
    as_json: bool,
) -> None:
    """List the dead letters."""
    if (account is None) != (property_name is None):
        raise click.UsageError("--account and --property must be given together")
    key = None if account is None else f"{property_name}/{account}".encode()
    topics = TOPICS if topic is None else [topic]
    found = in_order(program.database.transaction(lambda c: waiting(c, topics, key)))
    if key is not None and not found:
        _warn_of_unknown_names(program, str(property_name), str(account))
    if terminal.for_people(as_json=as_json):
        report.table(found)
    else:
        terminal.lines(map(report.in_short, found))


@dead_letters_group.command()
@click.argument("id_", metavar="ID")
@terminal.json_option
@with_program
def show(program: Program, id_: str, *, as_json: bool) -> None:
    """Show one dead letter in full: origin, reason and content."""
    wanted = Id.parse(id_)
    letter = program.database.transaction(lambda c: read(c, [wanted])).get(wanted)
    if letter is None:
        raise _missing(wanted)
    if as_json:
        terminal.document(report.whole(letter))
    else:
        click.echo("\n".join(report.as_lines(letter)))


@dead_letters_group.command()
@_ids
@_all_option
@_topic_option
@click.option(
    "--with-later",
    is_flag=True,
    help="Also all later ones of the same key, in order, until one is refused again.",
)
@terminal.json_option
@with_program
def retry(
    program: Program,
    ids: tuple[str, ...],
    topic: str | None,
    *,
    everything: bool,
    with_later: bool,
    as_json: bool,
) -> int:
    """Record dead letters, by the same rules as any event.

    One that is refused again is kept with the new reason, and the exit code is 1.
    """
    letters, chosen = _chosen(program, ids, topic, everything=everything)
    lines = rules.with_later(letters, set(chosen)) if with_later else [[id_] for id_ in chosen]
    recorder = Recorder(program.versions, program.signer.address_hash, program.now)
    done = Retried()
    with terminal.steps("retry", sum(map(len, lines))) as progress:
        for part in retry_lines(program.database, recorder, lines):
            for letter in part.taken:
                _log(program, "retried", letter, "recorded")
            for letter, reason in part.refused:
                _log(program, "retried", letter, f"refused again: {reason}")
            progress.advance(len(part.taken + part.refused + part.gone + part.left))
            done += part
    if as_json:
        terminal.document(report.retried(done))
    else:
        click.echo(report.retried_in_words(done))
    return 1 if done.refused else 0


@dead_letters_group.command()
@_ids
@_all_option
@_topic_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@terminal.json_option
@with_program
def discard(
    program: Program,
    ids: tuple[str, ...],
    topic: str | None,
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete dead letters permanently.

    Asks for confirmation on a terminal; the exit code is 1 if it is not given.
    """
    letters, chosen = _chosen(program, ids, topic, everything=everything)
    selected = {letter.id: letter for letter in letters if letter.id in set(chosen)}
    if selected and not yes and not _confirmed(list(selected.values())):
        terminal.complain("nothing was discarded")
        return 1
    removed = program.database.transaction(lambda c: remove(c, chosen))
    discarded = [id_ for id_ in chosen if id_ in removed]
    for id_ in discarded:
        _log(program, "discarded", selected[id_], selected[id_].reason)
    if as_json:
        terminal.document({"discarded": list(map(str, discarded))})
    else:
        click.echo(f"{len(discarded):,} discarded")
    return 0


@dead_letters_group.command("accept")
@click.argument("topic", metavar="TOPIC", type=click.Choice(list(TOPICS)))
@with_program
def accept_(program: Program, topic: str) -> None:
    """Let the messages at which a topic is stopped become dead letters.

    The intake does so within a minute, up to the next message that can be used.
    """
    partitions = program.database.transaction(lambda c: accept(c, topic))
    if not partitions:
        raise RefusedError(f"{topic}: is not stopped")
    TOPIC_ACCEPTED.log(
        at=f"{program.now():%Y-%m-%dT%H:%M:%SZ}",
        user=operator(),
        topic=topic,
        partitions=partitions,
    )


def _warn_of_unknown_names(program: Program, property_name: str, account: str) -> None:
    """Say what is unknown of an account that has no dead letters."""
    with program.database.one_moment() as connection:
        policies = program.versions.now(connection)
        names = {"property_name": property_name, "account": account, "policy_version": None}
        for warning in about_list(connection, policies, **names):
            terminal.complain(f"reconsent: {warning} (warning)")


def _chosen(
    program: Program, ids: Sequence[str], topic: str | None, *, everything: bool
) -> tuple[list[DeadLetter], list[Id]]:
    """Return all dead letters, and the ids of the chosen ones in the order of retrying.

    Raises BadInputError for an unknown id.
    """
    if everything == bool(ids):
        raise click.UsageError("either ids or --all is required")
    if topic and not everything:
        raise click.UsageError("--topic requires --all")
    wanted = [Id.parse(text) for text in ids]
    letters = in_order(program.database.transaction(waiting))
    known = {letter.id for letter in letters}
    for id_ in wanted:
        if id_ not in known:
            raise _missing(id_)
    if everything:
        return letters, [letter.id for letter in letters if topic in {None, letter.id.topic}]
    return letters, [letter.id for letter in letters if letter.id in set(wanted)]


def _missing(id_: Id) -> BadInputError:
    return BadInputError(f"{id_}: no such dead letter")


def _confirmed(letters: Collection[DeadLetter]) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("--yes is required if standard input is not a terminal")
    for letter in list(letters)[:_SHOWN_BEFORE_ASKING]:
        terminal.complain(f"{letter.id} {report.key_of(letter)}: {report.readable(letter.reason)}")
    if len(letters) > _SHOWN_BEFORE_ASKING:
        terminal.complain(f"and {len(letters) - _SHOWN_BEFORE_ASKING:,} more")
    return click.confirm(f"Discard {len(letters):,} permanently?", err=True)


def _log(program: Program, decision: str, letter: DeadLetter, outcome: str) -> None:
    key = f" ({report.key_of(letter)})" if letter.message.key is not None else ""
    DEAD_LETTER_DECIDED.log(
        at=f"{program.now():%Y-%m-%dT%H:%M:%SZ}",
        user=operator(),
        decision=decision,
        letter=f"{letter.id}{key}",
        outcome=report.readable(outcome),
    )
