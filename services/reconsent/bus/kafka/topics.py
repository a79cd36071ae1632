"""Describe, check and create Kafka topics."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kafka import KafkaAdminClient  # type: ignore[import-untyped]
from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from kafka.errors import for_code  # type: ignore[import-untyped]

from reconsent.bus.kafka.client import open_client
from reconsent.bus.kafka.errors import in_one_line, outside

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from reconsent.bus.kafka.settings import KafkaSettings
    from reconsent.domain.topics import TopicLayout

# A busy broker is slow to create topics.
_REQUEST_MS: Final = 30_000
_NO_ERROR: Final = 0
_UNKNOWN_TOPIC: Final = 3
_EXISTS: Final = 36


class KafkaTopic(NamedTuple):
    """A topic that exists. The id distinguishes it from a recreated topic of the same name."""

    id: str
    partitions: int


@contextmanager
def administration(settings: KafkaSettings) -> Iterator[Any]:
    """Open an admin client. Raises OutsideError in one line."""
    with in_one_line(settings):
        client = open_client(KafkaAdminClient, settings, request_timeout_ms=_REQUEST_MS)
        with closing(client):
            yield client


def describe(
    admin: KafkaAdminClient, settings: KafkaSettings, topics: Iterable[str]
) -> dict[str, KafkaTopic]:
    """Return the topics that exist. Raises OutsideError, for example without permission."""
    names = {settings.topic_prefix + topic: topic for topic in topics}
    found = {}
    for topic in admin.describe_topics(list(names)):
        if topic["error_code"] == _NO_ERROR:
            found[names[topic["name"]]] = KafkaTopic(
                str(topic["topic_id"]), len(topic["partitions"])
            )
        elif topic["error_code"] != _UNKNOWN_TOPIC:
            why = for_code(topic["error_code"]).__name__
            raise outside(settings, f"topic {topic['name']}: {why}")
    return found


def require(
    admin: KafkaAdminClient, settings: KafkaSettings, topics: Collection[str]
) -> dict[str, KafkaTopic]:
    """Describe the topics. Raises OutsideError that names the missing ones."""
    found = describe(admin, settings, topics)
    missing = [settings.topic_prefix + topic for topic in topics if topic not in found]
    if missing:
        raise outside(
            settings,
            f"missing topics: {', '.join(missing)}; create them with `reconsent topics create`",
        )
    return found


def stored_names(settings: KafkaSettings, found: Mapping[str, KafkaTopic]) -> dict[str, str]:
    """Map each full topic name to the name that its offsets are stored under."""
    return {
        settings.topic_prefix + topic: f"{settings.topic_prefix}{topic} {about.id}"
        for topic, about in found.items()
    }


def create(
    settings: KafkaSettings, layouts: Iterable[TopicLayout], *, replication: int | None = None
) -> list[str]:
    """Create missing topics, by default with the broker's replication factor.

    Returns the names of the created topics. Existing topics are not changed.
    """
    wanted = {
        settings.topic_prefix + layout.name: {
            "num_partitions": layout.partitions,
            "replication_factor": -1 if replication is None else replication,
            "configs": layout.config,
        }
        for layout in layouts
    }
    with administration(settings) as admin:
        replies = admin.create_topics(wanted, raise_errors=False)["topics"]
        for reply in replies:
            if reply["error_code"] not in {_NO_ERROR, _EXISTS}:
                why = reply["error_message"] or for_code(reply["error_code"]).__name__
                raise outside(settings, f"topic {reply['name']}: {why}")
        admin.wait_for_topics(list(wanted))
    return [reply["name"] for reply in replies if reply["error_code"] == _NO_ERROR]


def check(settings: KafkaSettings, layouts: Iterable[TopicLayout]) -> list[str]:
    """Compare the topics with their layouts; return one line for each difference."""
    by_name = {layout.name: layout for layout in layouts}
    with administration(settings) as admin:
        found = describe(admin, settings, by_name)
        configs = _configs(admin, [settings.topic_prefix + name for name in found])
    differences = []
    for name, layout in by_name.items():
        full_name = settings.topic_prefix + name
        if name not in found:
            differences.append(f"{full_name}: is missing")
            continue
        wanted = {"partitions": str(layout.partitions)} | layout.config
        actual = {"partitions": str(found[name].partitions)} | configs[full_name]
        differences += [
            f"{full_name}: {setting} is {actual.get(setting)}, should be {value}"
            for setting, value in wanted.items()
            if actual.get(setting) != value
        ]
    return differences


def _configs(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    reply = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: {setting: entry["value"] for setting, entry in entries.items()}
        for name, entries in reply.items()
    }
