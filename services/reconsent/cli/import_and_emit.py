"""Commands that read files of events: `import` into the facts, `emit` onto the bus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, get_args

import click

from reconsent import terminal
from reconsent.cli.importing import AGAIN, import_file
from reconsent.cli.suppressions import import_suppressions
from reconsent.cli.unknown_names import warn_of_unknown_names
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import TOPICS
from reconsent.domain.lane import LANES
from reconsent.facts.record.clocks import early_span
from reconsent.facts.record.recorder import Recorder
from reconsent.facts.versions import PublishedVersions
from reconsent.files.checking import Rules
from reconsent.files.events import Line, validated
from reconsent.files.staging import StagedFile, staged
from reconsent.files.suppression_forms import Said
from reconsent.workers.running import collect_rarely

if TYPE_CHECKING:
    from reconsent.facts.record.imports import Progress
    from reconsent.program import Program

_BATCH = 10_000
_TOPICS: Final = ("accounts", "collections", "choices")
SUPPRESSIONS: Final = "suppressions"


@click.command("import")
@click.argument("topic", metavar="TOPIC", type=click.Choice([*_TOPICS, SUPPRESSIONS]))
@click.argument("file", type=click.Path())
@click.option(
    "--as", "why", type=click.Choice(get_args(Said)), help="Why, if suppressions do not say it."
)
@terminal.json_option
@with_program
def import_(program: Program, topic: str, file: str, *, why: Said | None, as_json: bool) -> None:
    """Record a FILE of events (NDJSON or CSV; - is NDJSON on standard input) as facts.

    TOPIC is accounts, collections, choices or suppressions: addresses that bounced, complained or
    unsubscribed, also as SendGrid, Mailchimp, Mailgun, Amazon SES and Postmark export them. Of
    suppressions, - may be CSV or JSON too.
    One malformed line rejects the whole file: nothing is recorded. Importing the same file again
    changes nothing, or continues an import that was interrupted.
    """
    if topic == SUPPRESSIONS:
        _report(import_suppressions(program, file, why), as_json=as_json)
        return
    if why is not None:
        raise click.UsageError(f"--as is for {SUPPRESSIONS}")
    _report(_import_events(program, topic, file), as_json=as_json)


def _import_events(program: Program, topic: str, file: str) -> Progress:
    collect_rarely()
    is_csv = file.lower().endswith(".csv")
    rules = Rules(
        topic,
        program.now(),
        program.signer.address_hash,
        is_csv=is_csv,
        early=program.database.transaction(early_span),
    )
    hashed = program.signer.address_hash
    recorders = [Recorder(PublishedVersions(), hashed, program.now) for _ in range(LANES)]
    with (
        terminal.reading() as show,
        staged(file, rules, partial(show, "check")) as events,
    ):
        try:
            done = import_file(
                program.database, recorders, events, partial(show, f"import {topic}")
            )
        except KeyboardInterrupt:
            terminal.complain(f"{events.name}: interrupted; {AGAIN}")
            raise
        except OutsideError as error:
            raise OutsideError(f"{error}; {AGAIN}") from error
    _tell_early(events)
    warn_of_unknown_names(program, events, count=done.new > 0)
    return done


def _tell_early(events: StagedFile) -> None:
    if events.early:
        ahead = terminal.plural(events.early.events, "event")
        terminal.complain(
            f"{events.name}:{events.early.line}: {ahead} dated ahead of now; no event counts from"
            " later than it came in (warning)"
        )


def _report(done: Progress, *, as_json: bool) -> None:
    if as_json:
        terminal.document(
            {
                "read": done.events,
                "new": done.new,
                "unchanged": done.unchanged,
                "refused": done.refused,
            }
        )
    else:
        click.echo(
            f"{done.events:,} read: {done.new:,} new, {done.unchanged:,} unchanged, "
            f"{done.refused:,} refused"
        )


@click.command()
@click.argument("topic", metavar="TOPIC", type=click.Choice(list(TOPICS)))
@click.argument("file", type=click.Path())
@terminal.json_option
@with_program
def emit(program: Program, topic: str, file: str, *, as_json: bool) -> None:
    """Put a FILE of events (NDJSON or CSV; - is NDJSON on standard input) on the bus.

    TOPIC is policy-versions, accounts, collections, choices or mail-events.
    """
    producer = program.producer()
    sent = 0
    with (
        validated(file, topic, program.now()) as events,
        terminal.steps(f"emit {topic}", events.count) as progress,
    ):
        for batch in _batches(events):
            producer.send([line.message for line in batch])
            sent += len(batch)
            progress.advance(len(batch))
    if as_json:
        # Every event is new on the bus; intake finds out whether it is new to the facts.
        terminal.document({"read": sent, "new": sent, "unchanged": 0, "refused": 0})
    else:
        click.echo(f"{terminal.plural(sent, 'event')} sent to {topic}")


def _batches(events: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(events)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
