"""Kafka errors in one line.

kafka-python retries until a timeout and then raises an error without the cause. The cause is only
in its log, often repeatedly, so we capture that log instead of printing it.
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
# These follow every cause; another line is more specific.
_VAGUE: Final = re.compile("socket disconnected|timed out", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(\d+) E[A-Z]+")
_NAMES: Final = re.compile(r"^(\[Error \d+\] )?((\w+Error): )+")
_REMEMBERED: Final = 20


class _Listener(logging.Handler):
    """Keeps the reasons of the last lost connections, numbered in order."""

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
        """Return the last specific reason after a number, else the last one."""
        with self._lock_reasons:
            reasons = [_plain(reason) for at, reason in self._reasons if at > number]
        specific = [reason for reason in reasons if not _VAGUE.search(reason)]
        found = specific or reasons
        return found[-1] if found else None


_LISTENER: Final = _Listener()
_LOG: Final = logging.getLogger("kafka")
_LOG.addHandler(_LISTENER)
_LOG.propagate = False


@contextmanager
def in_one_line(settings: KafkaSettings) -> Iterator[None]:
    """Turn a client's error into an OutsideError with the address and the reason."""
    before = _LISTENER.now()
    try:
        yield
    except KafkaError as error:
        reason = _LISTENER.since(before)
        if reason is None or not isinstance(error, KafkaTimeoutError):
            reason = _plain(str(error)) or type(error).__name__
        raise outside(settings, reason) from error


def outside(settings: KafkaSettings, reason: str) -> OutsideError:
    """Return the error for a failure of Kafka."""
    return OutsideError(f"Kafka at {settings.address}: {reason}")


def last_reason() -> int:
    """Return the number of the last reason, for `reason_since`."""
    return _LISTENER.now()


def reason_since(number: int) -> str | None:
    """Return why a connection was lost after the reason with this number; None if none was."""
    return _LISTENER.since(number)


def _plain(text: str) -> str:
    """Return the first line without error names and numbers."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    short = _NAMES.sub("", line)
    number = _NUMBER.fullmatch(short)
    return os.strerror(int(number[1])) if number else short
