"""Commands that read files of events: `import` into the facts, `emit` onto the bus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import OutsideError
from reconsent.domain.event import TOPICS, AccountEvent
from reconsent.domain.recorded import Counts
from reconsent.facts.record.imports import FileImport, Progress
from reconsent.facts.record.recorder import Recorder
from reconsent.files.events import EventFile, Line, Show, validated
from reconsent.store.postgres import Database
from reconsent.workers.running import collect_rarely

if TYPE_CHECKING:
    from reconsent.program import Program

_BATCH = 10_000
_AGAIN = "run the same command again to continue"


@click.command("import")
@click.argument("topic", metavar="TOPIC", type=click.Choice(["accounts", "collections", "choices"]))
@click.argument("file", type=click.Path())
@terminal.json_option
@with_program
def import_(program: Program, topic: str, file: str, *, as_json: bool) -> None:
    """Record a FILE of events (NDJSON or CSV; - is NDJSON on standard input) as facts.

    TOPIC is accounts, collections or choices.
    One malformed line rejects the whole file: nothing is recorded. Importing the same file again
    changes nothing, or continues an import that was interrupted.
    """
    collect_rarely()
    recorder = Recorder(program.versions, program.signer.address_hash, program.now)
    with (
        terminal.reading() as show,
        validated(file, topic, program.now(), partial(show, "check")) as events,
    ):
        try:
            done = _import(program.database, recorder, events, partial(show, f"import {topic}"))
        except KeyboardInterrupt:
            terminal.complain(f"{events.name}: interrupted; {_AGAIN}")
            raise
        except OutsideError as error:
            raise OutsideError(f"{error}; {_AGAIN}") from error
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


def _import(database: Database, recorder: Recorder, events: EventFile, show: Show) -> Progress:
    """Record the events of a file, after those that an interrupted import has recorded.

    The next batch is read while PostgreSQL records one.
    """
    importing = FileImport(recorder, events.topic, events.digest)
    done = database.transaction(importing.begin)
    if done.events:
        terminal.complain(f"{events.name}: continuing after {done.events:,} of {events.count:,}")
    skipped = done.events
    with ThreadPoolExecutor(1, "import") as worker:
        recording: Future[Progress] | None = None
        for batch in _batches(islice(events, skipped, None)):
            done = recording.result() if recording else done
            recording = worker.submit(_record, database, importing, done, events, batch)
            show(events.position, events.size, done.events - skipped)
        done = recording.result() if recording else done
    database.transaction(importing.end)
    return done


def _record(
    database: Database,
    importing: FileImport,
    done: Progress,
    events: EventFile,
    batch: list[Line],
) -> Progress:
    received = [line.received for line in batch]
    done, counts = database.transaction(lambda c: importing.record(c, done, received))
    _report(events, batch, counts)
    return done


def _report(events: EventFile, batch: list[Line], counts: Counts) -> None:
    for position, reason in counts.refused:
        terminal.complain(f"{events.name}:{batch[position].number}: {reason}")
    for line in batch:
        data = line.received.data
        if isinstance(data, AccountEvent) and data.email_unusable:
            terminal.complain(
                f"{events.name}:{line.number}: email: is not usable; recorded without it"
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
        click.echo(f"{sent:,} events sent to {topic}")


def _batches(events: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(events)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
