"""Takes note of what happens: at the end of each turn and of each call of a tool.

Nothing is put together here, so that a turn's end takes some microseconds more, however many
watch.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import time
from typing import Any

from everturn.server.access.caller import Caller
from everturn.server.observe.now.counts import DOLLAR, both, bucket, no_counts
from everturn.server.observe.now.window import Step, Window
from everturn.server.turns.outcome import Call

KEPT_TURNS = 200
"""More than are shown: who may not see all of them sees others of their own."""

_MAX_TAKEN = 2**43
"""Tokens, or parts of a dollar, of one call: of a provider that says more, no sum becomes too large
for JSON and for Redis."""


@dataclass(frozen=True, slots=True)
class LastTurn:
    """A turn that has ended."""

    owner: str | None
    """Whose it is, as `owner_of` says it; None is nobody's but operators'."""
    shown: Mapping[str, Any]
    """What is said of it."""


class Recorder:
    """Of one process."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self.process = f"{socket.gethostname()}:{os.getpid()}"
        self.window = Window(clock())
        self.turns: deque[LastTurn] = deque(maxlen=KEPT_TURNS)
        """The last ones, the newest last."""
        self.ended = 0
        """How many there were in all."""
        self.running = self.waiting = self.background = 0
        self.loop_lag = 0.0
        self.days = no_counts()
        """Tokens and costs by day, in UTC."""
        self._clock = clock

    def turn_ended(
        self,
        shown: Mapping[str, Any],
        calls: Sequence[Call],
        owner: str | None,
        names: tuple[Callable[[str], str], Callable[[str], str]],
    ) -> None:
        """Take note of a turn.

        Args:
            shown: what is said of it; see `server.observe.turns`.
            calls: of models.
            owner: whose it is.
            names: make of the names of models, and of classes of failure, few enough.
        """
        now = self._clock()
        window, step = self.window, self.window.step(now)
        window.count(step, "turns", shown["status"])
        window.count(step, "seconds", bucket(shown["seconds"]))
        if shown["first_token"] is not None:
            window.count(step, "first_token", bucket(shown["first_token"]))
        tokens = cost = 0
        for call in calls:
            took = (
                min(_MAX_TAKEN, call.usage.get("total_tokens", 0)),
                min(_MAX_TAKEN, round((call.cost or 0) * DOLLAR)),
            )
            tokens, cost = tokens + took[0], cost + took[1]
            self._count_call(step, call, names, *took)
        window.count(step, "took", "tokens", tokens)
        window.count(step, "took", "cost", cost)
        self._count_today(now, tokens, cost)
        self.turns.append(LastTurn(owner, {**shown, "ended_at": now, "process": self.process}))
        self.ended += 1

    def _count_call(
        self,
        step: Step,
        call: Call,
        names: tuple[Callable[[str], str], Callable[[str], str]],
        tokens: int,
        cost: int,
    ) -> None:
        count, model = self.window.count, names[0](call.model)
        count(step, "calls", model)
        if call.failure:
            count(step, "failures", both(model, names[1](call.failure)))
        if tokens:
            count(step, "model_tokens", model, tokens)
        if cost:
            count(step, "model_cost", model, cost)

    def _count_today(self, now: float, tokens: int, cost: int) -> None:
        if not (tokens or cost):
            return
        day = self.days[day_at(now)]
        day["tokens"] += tokens
        day["cost"] += cost

    def tool_called(self, tool: str, status: str, seconds: float) -> None:
        """Take note of a call of a tool."""
        window, step = self.window, self.window.step(self._clock())
        window.count(step, "tools", tool)
        window.count(step, both("tool_seconds", tool), bucket(seconds))
        if status != "success":
            window.count(step, "tool_failures", both(tool, status))

    def tool_cache_used(self, tool: str, use: str) -> None:
        """Take note of a look into the cache of tool results, where it found one."""
        if use in {"hit", "joined"}:
            window = self.window
            window.count(window.step(self._clock()), "cache_hits", tool)

    def saw(self, running: int, waiting: int, background: int) -> None:
        """Take note of how many runs are under way and wait, of clients and of the background."""
        self.running, self.waiting, self.background = running, waiting, background
        self.window.step(self._clock()).saw(running, waiting)


def day_at(moment: float) -> str:
    """Return the day of a moment, in UTC."""
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def owner_of(caller: Caller | None) -> str | None:
    """Return what stands for a caller: other processes are shown nobody's name."""
    return None if caller is None else sha256(caller.identity.encode()).hexdigest()
