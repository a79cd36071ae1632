"""Every metric and every log event of the program, each declared here once with its meaning.

Gauges are read from the database when they are asked for. Counters count what happens in this
process, from zero at its start.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG: Final = logging.getLogger("reconsent")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that operators watch, one series for each combination of its labels' values."""

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str
    labels: tuple[str, ...]


CONSUMER_LAG: Final = Metric(
    name="reconsent_consumer_lag",
    kind="gauge",
    meaning="Messages of a topic that are not consumed yet.",
    labels=("topic",),
)
DEAD_LETTERS: Final = Metric(
    name="reconsent_dead_letters",
    kind="gauge",
    meaning="Dead letters of a topic that wait for a decision.",
    labels=("topic",),
)
NOTICES: Final = Metric(
    name="reconsent_notices",
    kind="gauge",
    meaning="Notices by policy version, kind, state and suppression.",
    labels=("policy", "policy_version", "kind", "state", "suppression"),
)
SERVICE_RESTARTS: Final = Metric(
    name="reconsent_service_restarts_total",
    kind="counter",
    meaning="Restarts of a service in this process after an unexpected exception.",
    labels=("service",),
)
METRICS: Final = (CONSUMER_LAG, DEAD_LETTERS, NOTICES, SERVICE_RESTARTS)


class Counters:
    """What this process counts; threads may share it."""

    def __init__(self) -> None:
        """Start every counter at zero."""
        self._lock = threading.Lock()
        self._counts: dict[Metric, Counter[tuple[str, ...]]] = {}

    def add(self, metric: Metric, number: int = 1, /, **labels: str) -> None:
        """Add to a counter. Raises ValueError for a gauge and for other labels than declared."""
        if metric.kind != "counter" or labels.keys() != set(metric.labels):
            raise ValueError(f"{metric.name}: a {metric.kind} with {', '.join(metric.labels)}")
        series = tuple(labels[name] for name in metric.labels)
        with self._lock:
            self._counts.setdefault(metric, Counter())[series] += number

    def read(self, metric: Metric) -> list[tuple[tuple[str, ...], int]]:
        """Return each combination of a counter's label values with its count."""
        with self._lock:
            return sorted(self._counts.get(metric, Counter()).items())


COUNTERS: Final = Counters()
"""The counters of this process."""


@dataclass(frozen=True, kw_only=True)
class LogEvent:
    """Something worth a line in the log; `sentence` is filled in by name."""

    name: str
    level: int
    sentence: str

    def log(self, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Write the line, with a traceback if an exception is given."""
        extra = {"event": self.name}
        _LOG.log(self.level, self.sentence, fields, exc_info=exc_info, extra=extra, stacklevel=2)


SERVICE_RETRIES: Final = LogEvent(
    name="service.retries",
    level=logging.WARNING,
    sentence="%(service)s: %(error)s; trying again in %(pause).0f s",
)
SERVICE_FAILED: Final = LogEvent(
    name="service.failed",
    level=logging.ERROR,
    sentence="%(service)s failed unexpectedly (%(error)s); restarting it in %(pause).0f s",
)
SERVICE_NOT_CLOSED: Final = LogEvent(
    name="service.not_closed",
    level=logging.ERROR,
    sentence="%(service)s could not be closed before its restart (%(error)s)",
)
SERVICE_STOPPED: Final = LogEvent(
    name="service.stopped",
    level=logging.ERROR,
    sentence=(
        "%(service)s must stop: %(error)s; the process ends when the other services have finished "
        "their step"
    ),
)
MESSAGE_DEAD_LETTERED: Final = LogEvent(
    name="message.dead_lettered",
    level=logging.WARNING,
    sentence="intake: a message of %(topic)s goes to the dead letters: %(reason)s",
)
DEAD_LETTER_DECIDED: Final = LogEvent(
    name="dead_letter.decided",
    level=logging.INFO,
    sentence="%(at)s %(user)s %(decision)s %(letter)s: %(outcome)s",
)
PARTITION_LOCKED: Final = LogEvent(
    name="partition.locked",
    level=logging.INFO,
    sentence="%(topic)s: partition %(partition)s is still locked by another consumer",
)
MESSAGES_MISSING: Final = LogEvent(
    name="messages.missing",
    level=logging.WARNING,
    sentence=(
        "%(topic)s: partition %(partition)s no longer has message %(position)s, only %(first)s to "
        "%(end)s; continuing from %(start)s"
    ),
)
WEBHOOK_REFUSED: Final = LogEvent(
    name="webhook.refused",
    level=logging.WARNING,
    sentence="sendgrid: a post to the webhook was refused: %(reason)s",
)
WEBHOOK_EVENT_SKIPPED: Final = LogEvent(
    name="webhook.event_skipped",
    level=logging.WARNING,
    sentence="sendgrid: an event was skipped: %(reason)s",
)
WEBHOOK_RECORDED: Final = LogEvent(
    name="webhook.recorded",
    level=logging.INFO,
    sentence="sendgrid: %(new)d events new, %(known)d known%(ignored)s",
)


def exposition(samples: Iterable[tuple[Metric, Iterable[tuple[tuple[str, ...], int]]]]) -> str:
    """Write metrics in Prometheus' text format."""
    lines = []
    for metric, series in samples:
        lines.append(f"# HELP {metric.name} {metric.meaning}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for values, number in series:
            labels = zip(metric.labels, map(_escaped, values), strict=True)
            within = ",".join(f'{name}="{value}"' for name, value in labels)
            lines.append(f"{metric.name}{{{within}}} {number}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
