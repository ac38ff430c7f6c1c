"""Least recently used bytes of files, bounded, one cache a process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

BUDGET = 64 * 2**20
"""Bytes, at most, beyond the entry read last."""


class SpanCache:
    """Spans of bytes by key.

    Args:
        budget: bytes that are kept.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget, self.size = budget, 0
        self._held: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], bytes]) -> bytes:
        """The bytes of a key, read where they are not held."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = read()
        with self._lock:
            if key not in self._held:
                self.size += len(found)
            self._held[key] = found
            while self.size > self.budget and len(self._held) > 1:
                self.size -= len(self._held.popitem(last=False)[1])
        return found

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()
            self.size = 0


spans = SpanCache()
