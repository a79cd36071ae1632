"""Commands that take files of events: straight into the facts, or onto the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from reconsent.adapters.event_file import EventFile, Line, validated
from reconsent.adapters.postgres import Connection, transaction
from reconsent.cli import printing
from reconsent.cli.passing import with_program
from reconsent.domain.event import TOPICS, AccountEvent
from reconsent.facts.accounts import Counts
from reconsent.facts.recording import Recorder

if TYPE_CHECKING:
    from reconsent.__main__ import Program

_BATCH = 5_000


@click.command("import")
@click.argument("topic", metavar="TOPIC", type=click.Choice(["accounts", "collections", "choices"]))
@click.argument("file", type=click.Path())
@printing.json_option
@with_program
def import_(program: Program, topic: str, file: str, *, as_json: bool) -> None:
    """Record a FILE of events (NDJSON or CSV; - is NDJSON on standard input) as facts.

    TOPIC is accounts, collections or choices.
    A malformed line spoils its file: nothing is recorded. Importing the same again changes
    nothing.
    """
    recorder = Recorder(program.versions, program.signer.address_hash)
    read = new = unchanged = refused = 0
    with (
        validated(file, topic, program.now()) as events,
        printing.steps(f"import {topic}", events.count) as progress,
    ):
        for batch in _batches(events):
            counts = transaction(program.connections, _record(recorder, batch))
            read += len(batch)
            new += counts.new
            unchanged += counts.unchanged
            refused += len(counts.refused)
            _tell(events, batch, counts)
            progress.advance(len(batch))
    if as_json:
        printing.document({"read": read, "new": new, "unchanged": unchanged, "refused": refused})
    else:
        click.echo(f"{read:,} read: {new:,} new, {unchanged:,} unchanged, {refused:,} refused")


def _record(recorder: Recorder, batch: list[Line]) -> Callable[[Connection], Counts]:
    def work(connection: Connection) -> Counts:
        return recorder.record(connection, [line.received for line in batch])

    return work


def _tell(events: EventFile, batch: list[Line], counts: Counts) -> None:
    for position, why in counts.refused:
        printing.complain(f"{events.name}:{batch[position].number}: {why}")
    for line in batch:
        data = line.received.data
        if isinstance(data, AccountEvent) and data.email_unusable:
            printing.complain(
                f"{events.name}:{line.number}: email: no mail can go there; recorded without one"
            )


@click.command()
@click.argument("topic", metavar="TOPIC", type=click.Choice(list(TOPICS)))
@click.argument("file", type=click.Path())
@printing.json_option
@with_program
def emit(program: Program, topic: str, file: str, *, as_json: bool) -> None:
    """Put a FILE of events (NDJSON or CSV; - is NDJSON on standard input) on the bus.

    TOPIC is policy-versions, accounts, collections, choices or mail-events.
    """
    producer = program.producer()
    sent = 0
    with (
        validated(file, topic, program.now()) as events,
        printing.steps(f"emit {topic}", events.count) as progress,
    ):
        for batch in _batches(events):
            producer.send([line.message for line in batch])
            sent += len(batch)
            progress.advance(len(batch))
    if as_json:
        # On the bus each is new; what it tells the facts is found by intake.
        printing.document({"read": sent, "new": sent, "unchanged": 0, "refused": 0})
    else:
        click.echo(f"{sent:,} events sent to {topic}")


def _batches(events: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(events)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
