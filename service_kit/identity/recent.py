"""What was learned lately, and forgotten by itself."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what is older than `kept_s`; oldest first, so that forgetting is cheap."""

    def __init__(self, kept_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.kept_s = kept_s
        self._now = now
        self._entries: dict[K, tuple[float, V]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V) -> None:
        self._entries.pop(key, None)
        now = self._now()
        self._entries[key] = (now, value)
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][0] >= now - self.kept_s:
                return
            del self._entries[oldest]

    def get(self, key: K) -> V | None:
        found = self._entries.get(key)
        return None if found is None or found[0] < self._now() - self.kept_s else found[1]

    def forget(self, key: K) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()
