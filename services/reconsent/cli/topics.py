"""Commands about the topics of a Kafka: make them, and compare them with how they should lie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from reconsent import terminal
from reconsent.domain.topics import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.topics import TopicLayout


def topics_group(kafka: Callable[[], KafkaSettings]) -> click.Group:
    """Make the commands; `kafka` says where the Kafka is, or raises BadInputError."""

    @click.group()
    def topics() -> None:
        """Make or check the topics of the Kafka at KAFKA_BOOTSTRAP_SERVERS."""

    partitions = click.option(
        "--partitions",
        type=click.IntRange(1),
        help="For the topics that are shared out, instead of as many as declared.",
    )

    @topics.command()
    @partitions
    @click.option(
        "--replication", type=click.IntRange(1), help="Copies of each [default: the broker's]."
    )
    @terminal.json_option
    def create(partitions: int | None, replication: int | None, *, as_json: bool) -> None:
        """Make the topics that are missing; those that exist are left as they are."""
        settings = kafka()
        from reconsent.bus.kafka import topics as kafka_topics  # noqa: PLC0415 -- an extra

        made = kafka_topics.create(settings, _layouts(partitions), replication=replication)
        if as_json:
            terminal.document({"created": made})
        else:
            click.echo("\n".join(f"created {name}" for name in made) or "nothing to create")

    @topics.command()
    @partitions
    @terminal.json_option
    def check(partitions: int | None, *, as_json: bool) -> int:
        """Tell what is missing or lies otherwise than it should; exit 1 if anything does."""
        settings = kafka()
        from reconsent.bus.kafka import topics as kafka_topics  # noqa: PLC0415 -- an extra

        differences = kafka_topics.check(settings, _layouts(partitions))
        if as_json:
            terminal.document({"differences": differences})
        else:
            click.echo("\n".join(differences) or "every topic is as it should be")
        return 1 if differences else 0

    return topics


def _layouts(partitions: int | None) -> list[TopicLayout]:
    """Return all topics; with so many partitions, where there is more than one."""
    return [
        layout
        if partitions is None or layout.partitions == 1
        else replace(layout, partitions=partitions)
        for layout in LAYOUTS.values()
    ]
