"""How often one caller may try: a token bucket per key, bounded in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict


class RateLimit:
    """`burst` tries at once, then `per_second`. Pure but for its own memory: the caller brings the time."""

    def __init__(self, burst: int, per_second: float, max_keys: int = 10_000) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, now: float) -> bool:
        """Count a try at `now` (seconds of any monotonic clock); False when it is one too many."""
        with self._lock:
            left, since = self._buckets.pop(key, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._per_second)
            is_allowed = left >= 1.0
            self._buckets[key] = (left - 1.0 if is_allowed else left, now)
            # The longest untouched key goes: it is the nearest to a full bucket.
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
            return is_allowed

    def give_back(self, key: str) -> None:
        """A try that proved rightful does not count."""
        with self._lock:
            if key in self._buckets:
                left, since = self._buckets[key]
                self._buckets[key] = (min(self._burst, left + 1.0), since)
