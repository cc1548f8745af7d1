"""How much of each run's event log is kept, so that all logs of a process have an end.

By a count of our own: Redis trims a stream by its number of entries or by an id, not by bytes.
"""

import heapq
import time
from collections import deque
from collections.abc import Iterator

_LEAST_BYTES = 262_144
"""Of one run, however many there are."""


class KeptBytes:
    """Counts entries, and says which are to be trimmed: the oldest, of ended runs first."""

    def __init__(self, max_run: int, max_all: int) -> None:
        """Bound the logs.

        Args:
            max_run: bytes of one run.
            max_all: bytes of all runs; each that goes on has at least its share.
        """
        self._max_run = max_run
        self._max_all = max_all
        self._entries: dict[str, deque[tuple[str, int]]] = {}
        self._beside: dict[str, int] = {}
        self._ended: dict[str, float] = {}
        self._gone: list[tuple[float, str]] = []
        self._all = 0

    @property
    def all(self) -> int:
        """Bytes that are kept now."""
        self._forget_gone()
        return self._all

    def add(self, run_id: str, entry_id: str, size: int, beside: int = 0) -> None:
        """Count an entry, and what was written beside it, which stays until the run is gone."""
        self._entries.setdefault(run_id, deque()).append((entry_id, size))
        if beside:
            self._beside[run_id] = self._beside.get(run_id, 0) + beside
        self._all += size + beside

    def end(self, run_id: str, ttl: float) -> None:
        """Know that a run writes no more, and that Redis drops its log after so many seconds."""
        self._ended[run_id] = gone = time.monotonic() + ttl
        heapq.heappush(self._gone, (gone, run_id))

    def forget(self, run_id: str) -> None:
        """Count a run no more."""
        self._ended.pop(run_id, None)
        self._all -= sum(size for _, size in self._entries.pop(run_id, ()))
        self._all -= self._beside.pop(run_id, 0)

    def trim(self, run_id: str) -> Iterator[tuple[str, str]]:
        """Yield runs, and the oldest entry of each that stays, after `run_id` was added to."""
        self._forget_gone()
        share = self._max_all // max(1, len(self._entries) - len(self._ended))
        if stays := self._trimmed(run_id, min(self._max_run, max(_LEAST_BYTES, share))):
            yield run_id, stays
        for ended in list(self._ended):
            if self._all <= self._max_all:
                return
            if stays := self._trimmed(ended, 0):
                yield ended, stays
            self.forget(ended)

    def _forget_gone(self) -> None:
        while self._gone and self._gone[0][0] <= time.monotonic():
            gone, run_id = heapq.heappop(self._gone)
            if self._ended.get(run_id) == gone:
                self.forget(run_id)

    def _trimmed(self, run_id: str, most: int) -> str | None:
        """Count no more of a run than its newest entry and what fits; the oldest that stays."""
        entries = self._entries.get(run_id, deque())
        size, before = sum(size for _, size in entries), len(entries)
        while size > most and len(entries) > 1:
            oldest = entries.popleft()[1]
            size -= oldest
            self._all -= oldest
        return entries[0][0] if len(entries) < before else None
