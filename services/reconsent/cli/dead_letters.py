"""Commands about messages that could not be used: look at them, retry them, throw them away.

Each letter that was retried or discarded is told in a line of the log, with when and by whom.
"""

from __future__ import annotations

import os
import pwd
import sys
from typing import TYPE_CHECKING, Final

import click

from reconsent import terminal
from reconsent.cli import dead_letter_report as report
from reconsent.cli.with_program import with_program
from reconsent.domain import dead_letters as rules
from reconsent.domain.dead_letters import DeadLetter, Id, in_order
from reconsent.domain.errors import BadInputError
from reconsent.domain.event import TOPICS
from reconsent.facts.record.dead_letters import Retried, retry_lines
from reconsent.facts.record.recorder import Recorder
from reconsent.store.dead_letters import read, remove, waiting
from reconsent.telemetry import DEAD_LETTER_DECIDED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reconsent.program import Program

_SHOWN_BEFORE_ASKING: Final = 20

_topic_option = click.option("--topic", type=click.Choice(list(TOPICS)), help="Of this topic only.")
_all_option = click.option("--all", "everything", is_flag=True, help="All that wait.")
_ids = click.argument("ids", nargs=-1, metavar="[ID]...")


@click.group("dead-letters")
def dead_letters_group() -> None:
    """Look at messages that could not be used, retry them, or discard them."""


@dead_letters_group.command("list")
@_topic_option
@click.option("--account", help="Of this account, by the message's key.")
@click.option("--property", "property_name", help="The web site or app that the account is of.")
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
    """List the dead letters that wait."""
    if (account is None) != (property_name is None):
        raise click.UsageError("--account and --property go together")
    key = None if account is None else f"{property_name}/{account}".encode()
    topics = TOPICS if topic is None else [topic]
    found = in_order(program.database.transaction(lambda c: waiting(c, topics, key)))
    if terminal.for_people(as_json=as_json):
        report.table(found)
    else:
        terminal.lines(map(report.in_short, found))


@dead_letters_group.command()
@click.argument("id_", metavar="ID")
@terminal.json_option
@with_program
def show(program: Program, id_: str, *, as_json: bool) -> None:
    """Show one dead letter whole: its place, the reason, and what it says."""
    wanted = Id.parse(id_)
    letter = program.database.transaction(lambda c: read(c, [wanted])).get(wanted)
    if letter is None:
        raise _missing(wanted)
    if as_json:
        terminal.document(report.whole(letter))
    else:
        click.echo("\n".join(report.told(letter)))


@dead_letters_group.command()
@_ids
@_all_option
@_topic_option
@click.option(
    "--with-later",
    is_flag=True,
    help="And all that wait behind one of the same key, in order, up to one refused again.",
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
    """Take dead letters in again by the rules for all events.

    What is refused again waits on, with the new reason, and the exit code is 1.
    """
    letters, chosen = _chosen(program, ids, topic, everything=everything)
    lines = rules.with_later(letters, set(chosen)) if with_later else [[id_] for id_ in chosen]
    recorder = Recorder(program.versions, program.signer.address_hash, program.now)
    done = Retried()
    with terminal.steps("retry", sum(map(len, lines))) as progress:
        for part in retry_lines(program.database, recorder, lines):
            for letter in part.taken:
                _log(program, "retried", letter, "taken in")
            for letter, why in part.refused:
                _log(program, "retried", letter, f"refused again: {why}")
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
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Throw dead letters away for good.

    Asks first on a terminal; the exit code is 1 if that is not confirmed.
    """
    letters, chosen = _chosen(program, ids, topic, everything=everything)
    going = {letter.id: letter for letter in letters if letter.id in set(chosen)}
    if going and not yes and not _confirmed(list(going.values())):
        terminal.complain("nothing was discarded")
        return 1
    removed = program.database.transaction(lambda c: remove(c, chosen))
    discarded = [id_ for id_ in chosen if id_ in removed]
    for id_ in discarded:
        _log(program, "discarded", going[id_], going[id_].reason)
    if as_json:
        terminal.document({"discarded": list(map(str, discarded))})
    else:
        click.echo(f"{len(discarded):,} discarded")
    return 0


def _chosen(
    program: Program, ids: Sequence[str], topic: str | None, *, everything: bool
) -> tuple[list[DeadLetter], list[Id]]:
    """Return all dead letters, and the ids of those that were meant, in the order of retrying.

    Raises BadInputError for an id that none has.
    """
    if everything == bool(ids):
        raise click.UsageError("either ids or --all is needed")
    if topic and not everything:
        raise click.UsageError("--topic goes with --all")
    wanted = [Id.parse(text) for text in ids]
    letters = in_order(program.database.transaction(waiting))
    there = {letter.id for letter in letters}
    for id_ in wanted:
        if id_ not in there:
            raise _missing(id_)
    if everything:
        return letters, [letter.id for letter in letters if topic in {None, letter.id.topic}]
    return letters, [letter.id for letter in letters if letter.id in set(wanted)]


def _missing(id_: Id) -> BadInputError:
    return BadInputError(f"{id_}: no such dead letter waits")


def _confirmed(letters: Collection[DeadLetter]) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("--yes is needed where nobody can be asked")
    for letter in list(letters)[:_SHOWN_BEFORE_ASKING]:
        terminal.complain(f"{letter.id} {report.key_of(letter)}: {report.readable(letter.reason)}")
    if len(letters) > _SHOWN_BEFORE_ASKING:
        terminal.complain(f"and {len(letters) - _SHOWN_BEFORE_ASKING:,} more")
    return click.confirm(f"Discard {len(letters):,} for good?", err=True)


def _log(program: Program, verb: str, letter: DeadLetter, outcome: str) -> None:
    key = f" ({report.key_of(letter)})" if letter.message.key is not None else ""
    DEAD_LETTER_DECIDED.log(
        at=f"{program.now():%Y-%m-%dT%H:%M:%SZ}",
        user=_user(),
        decision=verb,
        letter=f"{letter.id}{key}",
        outcome=report.readable(outcome),
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
