"""How much of each run's event log is kept, so that all logs of a process have an end.

By a count of our own: Redis trims a stream by its number of entries or by an id, not by bytes.
"""

import time
from collections import deque
from collections.abc import Iterator

_LEAST_BYTES = 262_144
"""Of one run, however many there are."""


class KeptBytes:
    """Counts entries, and says which are to be trimmed: the oldest, of ended runs first."""

    def __init__(self, max_run: int, max_all: int, ttl: float) -> None:
        """Bound the logs.

        Args:
            max_run: bytes of one run.
            max_all: bytes of all runs; each that goes on has at least its share.
            ttl: seconds after its end until Redis has dropped a run's log.
        """
        self._max_run = max_run
        self._max_all = max_all
        self._ttl = ttl
        self._entries: dict[str, deque[tuple[str, int]]] = {}
        self._ended: dict[str, float] = {}
        self._all = 0

    def add(self, run_id: str, entry_id: str, size: int) -> None:
        """Count an entry."""
        self._entries.setdefault(run_id, deque()).append((entry_id, size))
        self._all += size

    def end(self, run_id: str) -> None:
        """Know that a run writes no more."""
        self._ended[run_id] = time.monotonic()

    def forget(self, run_id: str) -> None:
        """Count a run no more."""
        self._ended.pop(run_id, None)
        self._all -= sum(size for _, size in self._entries.pop(run_id, ()))

    def trim(self, run_id: str) -> Iterator[tuple[str, str]]:
        """Yield runs, and the oldest entry of each that stays, after `run_id` was added to."""
        for ended, since in list(self._ended.items()):
            if time.monotonic() - since < self._ttl:
                break
            self.forget(ended)
        share = self._max_all // max(1, len(self._entries) - len(self._ended))
        if stays := self._trimmed(run_id, min(self._max_run, max(_LEAST_BYTES, share))):
            yield run_id, stays
        for ended in list(self._ended):
            if self._all <= self._max_all:
                return
            if stays := self._trimmed(ended, 0):
                yield ended, stays
            self.forget(ended)

    def _trimmed(self, run_id: str, most: int) -> str | None:
        """Count no more of a run than its newest entry and what fits; the oldest that stays."""
        entries = self._entries.get(run_id, deque())
        size, before = sum(size for _, size in entries), len(entries)
        while size > most and len(entries) > 1:
            oldest = entries.popleft()[1]
            size -= oldest
            self._all -= oldest
        return entries[0][0] if len(entries) < before else None
