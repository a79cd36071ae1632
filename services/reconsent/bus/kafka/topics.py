"""Topics in a Kafka: what there is, what is missing, and making it."""

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

# A busy broker takes its time to make topics.
_REQUEST_MS: Final = 30_000
_NO_ERROR: Final = 0
_UNKNOWN_TOPIC: Final = 3
_EXISTS: Final = 36


class KafkaTopic(NamedTuple):
    """A topic that exists. Its id tells it from one of the same name that was made anew."""

    id: str
    partitions: int


@contextmanager
def administration(settings: KafkaSettings) -> Iterator[Any]:
    """Come in to look at topics or to make some. Raises OutsideError in one line."""
    with in_one_line(settings):
        client = open_client(KafkaAdminClient, settings, request_timeout_ms=_REQUEST_MS)
        with closing(client):
            yield client


def describe(
    admin: KafkaAdminClient, settings: KafkaSettings, topics: Iterable[str]
) -> dict[str, KafkaTopic]:
    """Return those of some topics that exist. Raises OutsideError where we may not know."""
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
    """Return some topics. Raises OutsideError naming those that are missing."""
    found = describe(admin, settings, topics)
    missing = [settings.topic_prefix + topic for topic in topics if topic not in found]
    if missing:
        raise outside(
            settings, f"no topic {', '.join(missing)}; `reconsent topics create` makes them"
        )
    return found


def stored_names(settings: KafkaSettings, found: Mapping[str, KafkaTopic]) -> dict[str, str]:
    """Return under which names the offsets of topics are stored, by Kafka's names of the topics."""
    return {
        settings.topic_prefix + topic: f"{settings.topic_prefix}{topic} {about.id}"
        for topic, about in found.items()
    }


def create(
    settings: KafkaSettings, layouts: Iterable[TopicLayout], *, replication: int | None = None
) -> list[str]:
    """Make the topics that are missing, with the broker's replication where none is given.

    Returns the names of those made. What is there is left as it is.
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
        answers = admin.create_topics(wanted, raise_errors=False)["topics"]
        for answer in answers:
            if answer["error_code"] not in {_NO_ERROR, _EXISTS}:
                why = answer["error_message"] or for_code(answer["error_code"]).__name__
                raise outside(settings, f"topic {answer['name']}: {why}")
        admin.wait_for_topics(list(wanted))
    return [answer["name"] for answer in answers if answer["error_code"] == _NO_ERROR]


def check(settings: KafkaSettings, layouts: Iterable[TopicLayout]) -> list[str]:
    """Compare the topics with how they should lie; return a line for each difference."""
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
        there = {"partitions": str(found[name].partitions)} | configs[full_name]
        differences += [
            f"{full_name}: {setting} is {there.get(setting)}, should be {value}"
            for setting, value in wanted.items()
            if there.get(setting) != value
        ]
    return differences


def _configs(admin: KafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answer = admin.describe_configs(asked, config_filter="all")["topic"]
    return {
        name: {setting: entry["value"] for setting, entry in entries.items()}
        for name, entries in answer.items()
    }
