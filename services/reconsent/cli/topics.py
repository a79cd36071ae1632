"""Commands for Kafka topics: create them, and compare them with their declared layout."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.cli.with_program import with_program
from reconsent.domain.errors import BadInputError
from reconsent.domain.topics import LAYOUTS

if TYPE_CHECKING:
    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.topics import TopicLayout
    from reconsent.program import Program


@click.group(cls=terminal.Commands)
def topics() -> None:
    """Create or check the topics on KAFKA_BOOTSTRAP_SERVERS."""


_partitions = click.option(
    "--partitions",
    type=click.IntRange(1),
    help="Of each topic declared with more than one, instead of the declared number.",
)


@topics.command()
@_partitions
@click.option(
    "--replication",
    type=click.IntRange(1),
    help="Replicas of each partition [default: the broker's].",
)
@terminal.json_option
@with_program
def create(
    program: Program, partitions: int | None, replication: int | None, *, as_json: bool
) -> None:
    """Create missing topics; existing ones are not changed."""
    settings = _kafka(program)
    from reconsent.bus.kafka import topics as kafka_topics  # noqa: PLC0415 -- an extra

    made = kafka_topics.create(settings, _layouts(partitions), replication=replication)
    if as_json:
        terminal.document({"created": made})
    else:
        click.echo("\n".join(f"created {name}" for name in made) or "nothing to create")


@topics.command()
@_partitions
@terminal.json_option
@with_program
def check(program: Program, partitions: int | None, *, as_json: bool) -> int:
    """List missing topics and differences from the declared layout; exit 1 if there are any."""
    settings = _kafka(program)
    from reconsent.bus.kafka import topics as kafka_topics  # noqa: PLC0415 -- an extra

    differences = kafka_topics.check(settings, _layouts(partitions))
    if as_json:
        terminal.document({"differences": differences})
    else:
        click.echo("\n".join(differences) or "every topic matches its declared layout")
    return 1 if differences else 0


def _kafka(program: Program) -> KafkaSettings:
    """Return the settings of Kafka. Raises BadInputError if it is not configured."""
    if program.settings.kafka is None:
        raise BadInputError("KAFKA_BOOTSTRAP_SERVERS: is required to work on Kafka topics")
    return program.settings.kafka


def _layouts(partitions: int | None) -> list[TopicLayout]:
    """Return all layouts, with `partitions` in those that declare more than one."""
    return [
        layout
        if partitions is None or layout.partitions == 1
        else replace(layout, partitions=partitions)
        for layout in LAYOUTS.values()
    ]
