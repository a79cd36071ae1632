"""Every event that the program logs."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LOG: Final = logging.getLogger("reconsent")
_SPARINGLY_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class LogEvent:
    """A kind of log line; `sentence` is a format string with named fields."""

    name: str
    level: int
    sentence: str

    def log(self, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Write the line, with a traceback if an exception is given."""
        self.write(fields, exc_info)

    def write(self, fields: Mapping[str, object], exc_info: BaseException | None = None) -> None:
        """Write the line, as `log` does."""
        extra = {"event": self.name}
        values = (fields,) if fields else ()  # logging would format an empty mapping as it is
        _LOG.log(self.level, self.sentence, *values, exc_info=exc_info, extra=extra, stacklevel=3)


class Sparingly:
    """Logs an event once a minute at most, with how often it happened since the last line."""

    def __init__(self, event: LogEvent, clock: Callable[[], float] = time.monotonic) -> None:
        """Log an event whose sentence has a field `times`; `clock` counts seconds."""
        self._event = event
        self._clock = clock
        self._lock = threading.Lock()
        self._times = 0
        self._logged_at = -_SPARINGLY_SECONDS

    def log(self, **fields: object) -> None:
        """Count it, and write the line if that has not been done for a minute."""
        with self._lock:
            self._times += 1
            if self._clock() - self._logged_at < _SPARINGLY_SECONDS:
                return
            times, self._times = self._times, 0
            self._logged_at = self._clock()
        self._event.write({**fields, "times": times})


SERVICE_RETRIES: Final = LogEvent(
    name="service.retries",
    level=logging.WARNING,
    sentence="%(service)s: %(error)s; retrying in %(pause).0f s",
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
SERVICE_BLOCKED: Final = LogEvent(
    name="service.blocked",
    level=logging.ERROR,
    sentence=(
        "%(service)s is blocked until its cause is repaired: %(error)s; it tries again in "
        "%(pause).0f s, and the other services go on"
    ),
)
SERVICE_STOPPED: Final = LogEvent(
    name="service.stopped",
    level=logging.ERROR,
    sentence=(
        "%(service)s must stop: %(error)s; the process ends when the other services have finished "
        "their step"
    ),
)
DATABASE_RESTORED: Final = LogEvent(
    name="database.restored",
    level=logging.WARNING,
    sentence=(
        "the database was restored, promoted or upgraded: topics are published again in full, and "
        "mail is on hold until `reconsent release resume --after-restore`"
    ),
)
FOLLOWER_DROPPED: Final = LogEvent(
    name="follower.dropped",
    level=logging.WARNING,
    sentence=(
        "%(follower)s: has read nothing for a week, so the log of changes is no longer kept for "
        "it; when it starts again, it publishes its topic in full"
    ),
)
SENDING_HELD: Final = LogEvent(
    name="sending.held",
    level=logging.WARNING,
    sentence=(
        "dispatcher: mail is on hold since the database was restored, until `reconsent release "
        "resume --after-restore`"
    ),
)
MAIL_NOT_WRITTEN: Final = LogEvent(
    name="mail.not_written",
    level=logging.ERROR,
    sentence=(
        "dispatcher: the %(kind)s mail of %(policy)s %(policy_version)s for %(property)s in "
        "%(locale)s could not be written (%(error)s): %(notices)d notices wait for %(minutes)d "
        "minutes"
    ),
)
MESSAGE_DEAD_LETTERED: Final = LogEvent(
    name="message.dead_lettered",
    level=logging.WARNING,
    sentence="intake: a message of %(topic)s was dead-lettered: %(reason)s",
)
TOPIC_STOPPED: Final = LogEvent(
    name="topic.stopped",
    level=logging.ERROR,
    sentence="intake: %(error)s; the other topics go on, trying this one again in %(pause).0f s",
)
TOPIC_GOES_ON: Final = LogEvent(
    name="topic.goes_on",
    level=logging.INFO,
    sentence="intake: %(topic)s: partition %(partition)s is no longer stopped",
)
DEAD_LETTER_DECIDED: Final = LogEvent(
    name="dead_letter.decided",
    level=logging.INFO,
    sentence="%(at)s %(user)s %(decision)s %(letter)s: %(outcome)s",
)
TOPIC_ACCEPTED: Final = LogEvent(
    name="topic.accepted",
    level=logging.INFO,
    sentence=(
        "%(at)s %(user)s accepted %(topic)s: the messages at which it is stopped become dead "
        "letters (partitions: %(partitions)d)"
    ),
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
    sentence="sendgrid: a webhook request was refused: %(reason)s",
)
WEBHOOK_EVENT_SKIPPED: Final = LogEvent(
    name="webhook.event_skipped",
    level=logging.WARNING,
    sentence="sendgrid: an event was skipped: %(reason)s",
)
WEBHOOK_RECORDED: Final = LogEvent(
    name="webhook.recorded",
    level=logging.INFO,
    sentence="sendgrid: %(new)d new events, %(known)d known%(ignored)s",
)

CONNECTIONS_DROPPED: Final = LogEvent(
    name="connections.dropped",
    level=logging.WARNING,
    sentence=(
        "web: %(times)d connections were dropped, which kept the server waiting for too long or "
        "had to give way to others"
    ),
)
REQUEST_FAILED: Final = LogEvent(
    name="request.failed",
    level=logging.ERROR,
    sentence="web: %(method)s %(route)s failed unexpectedly: %(error)s at %(at)s",
)
SERVER_FAULT: Final = LogEvent(
    name="server.fault",
    level=logging.ERROR,
    sentence="web: the server could not go on with a connection, %(times)d times: %(error)s",
)
