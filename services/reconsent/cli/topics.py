"""Commands for Kafka topics: create them, and compare them with their declared layout."""

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
    """Make the commands; `kafka` returns the settings of Kafka or raises BadInputError."""

    @click.group()
    def topics() -> None:
        """Create or check the topics on KAFKA_BOOTSTRAP_SERVERS."""

    partitions = click.option(
        "--partitions",
        type=click.IntRange(1),
        help="Of each topic declared with more than one, instead of the declared number.",
    )

    @topics.command()
    @partitions
    @click.option(
        "--replication",
        type=click.IntRange(1),
        help="Replicas of each partition [default: the broker's].",
    )
    @terminal.json_option
    def create(partitions: int | None, replication: int | None, *, as_json: bool) -> None:
        """Create missing topics; existing ones are not changed."""
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
        """List missing topics and differences from the declared layout; exit 1 if there are any."""
        settings = kafka()
        from reconsent.bus.kafka import topics as kafka_topics  # noqa: PLC0415 -- an extra

        differences = kafka_topics.check(settings, _layouts(partitions))
        if as_json:
            terminal.document({"differences": differences})
        else:
            click.echo("\n".join(differences) or "every topic matches its declared layout")
        return 1 if differences else 0

    return topics


def _layouts(partitions: int | None) -> list[TopicLayout]:
    """Return all layouts, with `partitions` in those that declare more than one."""
    return [
        layout
        if partitions is None or layout.partitions == 1
        else replace(layout, partitions=partitions)
        for layout in LAYOUTS.values()
    ]
