"""What goes wrong with a Kafka, in one line.

kafka-python tries again for as long as it may and then says only that it could not, while the
reason goes to its log, often many times over. So its log is listened to instead of shown.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kafka.errors import KafkaError, KafkaTimeoutError  # type: ignore[import-untyped]
from typing_extensions import override

from reconsent.domain.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconsent.bus.kafka.settings import KafkaSettings

_LOST: Final = "Connection lost: "
# What follows on any reason, or on none: another line tells more.
_VAGUE: Final = re.compile("socket disconnected|timed out", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(\d+) E[A-Z]+")
_NAMES: Final = re.compile(r"^(\[Error \d+\] )?((\w+Error): )+")
_REMEMBERED: Final = 20


class _Listener(logging.Handler):
    """Remembers why connections were lost, by a number that only grows."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._lock_reasons = threading.Lock()
        self._reasons: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._count = 0

    @override
    def emit(self, record: logging.LogRecord) -> None:
        _, lost, reason = record.getMessage().partition(_LOST)
        if lost:
            with self._lock_reasons:
                self._count += 1
                self._reasons.append((self._count, reason))

    def now(self) -> int:
        """Return the number of the last reason."""
        return self._count

    def since(self, number: int) -> str | None:
        """Return the most telling reason after a number, the last of several."""
        with self._lock_reasons:
            heard = [_plain(reason) for at, reason in self._reasons if at > number]
        telling = [reason for reason in heard if not _VAGUE.search(reason)]
        found = telling or heard
        return found[-1] if found else None


_LISTENER: Final = _Listener()
_LOG: Final = logging.getLogger("kafka")
_LOG.addHandler(_LISTENER)
_LOG.propagate = False


@contextmanager
def in_one_line(settings: KafkaSettings) -> Iterator[None]:
    """Turn what a client raises into an OutsideError that says where and why."""
    before = _LISTENER.now()
    try:
        yield
    except KafkaError as error:
        reason = _LISTENER.since(before)
        if reason is None or not isinstance(error, KafkaTimeoutError):
            reason = _plain(str(error)) or type(error).__name__
        raise outside(settings, reason) from error


def outside(settings: KafkaSettings, reason: str) -> OutsideError:
    """Return the error for a Kafka that does not do as it should."""
    return OutsideError(f"Kafka at {settings.address}: {reason}")


def heard() -> int:
    """Return a number for `heard_since`."""
    return _LISTENER.now()


def heard_since(number: int) -> str | None:
    """Return why a connection was lost since `heard` gave a number, if one was."""
    return _LISTENER.since(number)


def _plain(text: str) -> str:
    """Return the first line without names that only programs need."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    short = _NAMES.sub("", line)
    number = _NUMBER.fullmatch(short)
    return os.strerror(int(number[1])) if number else short
