"""A bounded cache of immutable values."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from reconsent.store.postgres import restores

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

Key = TypeVar("Key", bound="Hashable")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """The most recently used values; threads may share it.

    A lookup returns a dict of its own, so a caller never misses what other lookups evict. Values
    must be immutable, because several callers get the same one. Everything is dropped when the
    database is restored under a running program: its ids may then stand for something else.
    """

    def __init__(self, limit: int) -> None:
        """Keep up to `limit` values between lookups."""
        self._limit = limit
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()
        self._restores = restores()

    def __len__(self) -> int:
        return len(self._kept)

    def look_up(
        self, keys: Iterable[Key], find: Callable[[list[Key]], Mapping[Key, Value]]
    ) -> dict[Key, Value]:
        """Return the values of exactly these keys; `find` is called once for the unknown ones.

        The lock is not held meanwhile: two threads may find the same value, which is harmless.
        """
        values: dict[Key, Value] = {}
        unknown: list[Key] = []
        now = restores()
        with self._lock:
            if self._restores != now:
                self._kept.clear()
                self._restores = now
            for key in set(keys):
                if key in self._kept:
                    self._kept.move_to_end(key)
                    values[key] = self._kept[key]
                else:
                    unknown.append(key)
        if unknown:
            found = find(unknown)
            values |= found
            self._keep(found, now)
        return values

    def _keep(self, found: Mapping[Key, Value], asked_after: int) -> None:
        with self._lock:
            if asked_after != restores():
                return
            self._kept.update(found)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
