"""Every metric of the program.

Gauges are read from the database on request. Counters cover this process and start at zero.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric, with one series for each combination of label values."""

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str
    labels: tuple[str, ...]


CONSUMER_LAG: Final = Metric(
    name="reconsent_consumer_lag",
    kind="gauge",
    meaning="Messages of a topic that have not been consumed yet.",
    labels=("topic",),
)
DEAD_LETTERS: Final = Metric(
    name="reconsent_dead_letters",
    kind="gauge",
    meaning="Dead letters of a topic that await a decision.",
    labels=("topic",),
)
TOPICS_STOPPED: Final = Metric(
    name="reconsent_topic_stopped",
    kind="gauge",
    meaning="1 while a topic is stopped: too many messages in a row cannot be used.",
    labels=("topic",),
)
REPORTS_NOT_OURS: Final = Metric(
    name="reconsent_reports_not_ours",
    kind="gauge",
    meaning="Mail events so far that named no notice of this database.",
    labels=(),
)
NOTICES: Final = Metric(
    name="reconsent_notices",
    kind="gauge",
    meaning="Notices by policy version, kind, state and suppression.",
    labels=("policy", "policy_version", "kind", "state", "suppression"),
)
EARLY_EVENTS: Final = Metric(
    name="reconsent_early_events",
    kind="gauge",
    meaning="Events whose times were ahead of when they came in by more than 5 minutes.",
    labels=("topic", "source"),
)
SERVICE_RESTARTS: Final = Metric(
    name="reconsent_service_restarts_total",
    kind="counter",
    meaning="Restarts of a service in this process after an unexpected exception.",
    labels=("service",),
)
MAILS_NOT_WRITTEN: Final = Metric(
    name="reconsent_mails_not_written_total",
    kind="counter",
    meaning="Notices put off in this process because their mail could not be written.",
    labels=("policy", "policy_version"),
)
METRICS: Final = (
    CONSUMER_LAG,
    DEAD_LETTERS,
    TOPICS_STOPPED,
    REPORTS_NOT_OURS,
    NOTICES,
    EARLY_EVENTS,
    SERVICE_RESTARTS,
    MAILS_NOT_WRITTEN,
)


class Counters:
    """The counters of one process, safe to share between threads."""

    def __init__(self) -> None:
        """Start every counter at zero."""
        self._lock = threading.Lock()
        self._counts: dict[Metric, Counter[tuple[str, ...]]] = {}

    def add(self, metric: Metric, number: int = 1, /, **labels: str) -> None:
        """Add to a counter. Raises ValueError for a gauge, or if the labels are not as declared."""
        if metric.kind != "counter" or labels.keys() != set(metric.labels):
            raise ValueError(f"{metric.name}: is a {metric.kind} with {', '.join(metric.labels)}")
        series = tuple(labels[name] for name in metric.labels)
        with self._lock:
            self._counts.setdefault(metric, Counter())[series] += number

    def read(self, metric: Metric) -> list[tuple[tuple[str, ...], int]]:
        """Return the count for each combination of a counter's label values."""
        with self._lock:
            return sorted(self._counts.get(metric, Counter()).items())


COUNTERS: Final = Counters()
"""The counters of this process."""


def exposition(samples: Iterable[tuple[Metric, Iterable[tuple[tuple[str, ...], int]]]]) -> str:
    """Format metrics in the Prometheus text format."""
    lines = []
    for metric, series in samples:
        lines.append(f"# HELP {metric.name} {metric.meaning}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for values, number in series:
            pairs = zip(metric.labels, map(_escaped, values), strict=True)
            labels = ",".join(f'{name}="{value}"' for name, value in pairs)
            lines.append(
                f"{metric.name}{{{labels}}} {number}" if labels else f"{metric.name} {number}"
            )
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
