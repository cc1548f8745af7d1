"""What clients are shown: windows of all processes, put together as `docs/now.md` describes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from everturn.server.observe.now.counts import Counts, both, by_first, percentiles, total
from everturn.server.observe.now.lines import Lines, Point, dollars, summary, turns_per_second
from everturn.server.observe.now.window import STEP_SECONDS, STEPS, Window, number_at

_MINUTE_STEPS = 6
_WORSE = ("closed", "half_open", "doubtful", "open")
_ALWAYS = ("at", "figures", "processes")
_IF_CHANGED = ("models", "breakers", "tools")


@dataclass(frozen=True, slots=True)
class Part:
    """One process."""

    id: str
    window: Window
    about: Mapping[str, Any]
    """What it says of itself; see `Now.about`."""
    answers: bool
    age: float
    alive: bool


@dataclass(slots=True)
class Picture:
    """All that is shown but the turns; of the moment of the last `take`."""

    whole: dict[str, Any] = field(default_factory=dict)
    """Without lines."""
    tick: dict[str, Any] = field(default_factory=dict)
    """What is new since the `take` before."""
    anew: bool = True
    """Whether too much is new for a tick: there are other processes than before."""
    _lines: Lines = field(default_factory=Lines)
    _of_each: dict[str, Lines] = field(default_factory=dict)
    _p95: dict[str, tuple[tuple[int, int], float | None]] = field(default_factory=dict)
    """By tool: when it was found out, and of how many calls; and what it was."""

    def catch_up(self, parts: Sequence[Part], now: float) -> Iterator[None]:
        """Make what is missing of the lines, pausing now and then."""
        self._of_each = {part.id: self._of_each.get(part.id) or Lines() for part in parts}
        yield from self._lines.catch_up([part.window for part in parts], now)
        if len(parts) > 1:
            for part in parts:
                yield from self._of_each[part.id].catch_up([part.window], now)

    def take(
        self,
        parts: Sequence[Part],
        sum_of_others: Counts | None,
        now: float,
        today: tuple[int, int],
    ) -> None:
        """Make the picture of a moment.

        Args:
            parts: the processes, the one that answers first, with it all others that are known.
            sum_of_others: what the windows of the others come to.
            now: the moment, in Unix seconds.
            today: tokens and cost of all together since midnight UTC.
        """
        before = self.whole
        for _ in self.catch_up(parts, now):
            pass
        windows = [part.window for part in parts]
        counts = total(windows[0].sum, sum_of_others)
        points = self._lines.update(windows, now)
        figures = _figures(counts, windows, [part.about for part in parts if part.alive], now)
        processes = [_process(part, now) for part in parts]
        figures |= {"tokens_today": today[0], "cost_today": dollars(today[1])}
        self.whole = {
            "at": now,
            "window": STEPS * STEP_SECONDS,
            "step": STEP_SECONDS,
            "figures": figures,
            "models": _models(parts, counts),
            "breakers": _breakers(parts),
            "tools": self._tools(counts, number_at(now)),
            "processes": processes,
        }
        known = {each["id"] for each in before.get("processes", ())}
        self.anew = known != self._of_each.keys()
        self.tick = {name: self.whole[name] for name in _ALWAYS} | {
            name: self.whole[name] for name in _IF_CHANGED if self.whole[name] != before.get(name)
        }
        self.tick["points"] = points
        self.tick["processes"] = [
            {**said, "points": self._points_of(part, now, points, alone=len(parts) == 1)}
            for said, part in zip(processes, parts, strict=True)
        ]
        for window in windows:
            window.late.clear()

    def _points_of(
        self, part: Part, now: float, of_all: list[Point], *, alone: bool
    ) -> list[Point]:
        """Return the points of one process that have changed; of one alone those of all."""
        return of_all if alone else self._of_each[part.id].update([part.window], now)

    def complete(self) -> dict[str, Any]:
        """Return the whole with its lines."""
        processes = self.whole["processes"]
        alone = len(processes) == 1
        lines = self._lines.columns()
        return {
            **self.whole,
            "lines": lines,
            "processes": [
                {**each, "lines": lines if alone else self._of_each[each["id"]].columns()}
                for each in processes
            ],
        }

    def _tools(self, counts: Counts, newest: int) -> list[dict[str, Any]]:
        failures = by_first(counts["tool_failures"])
        return [
            {
                "name": tool,
                "calls": calls,
                "failures": failures.get(tool, {}),
                "cache_hits": counts["cache_hits"][tool],
                "seconds_p95": self._slow(tool, (newest, calls), counts),
            }
            for tool, calls in sorted(counts["tools"].items(), key=lambda each: (-each[1], each[0]))
        ]

    def _slow(self, tool: str, known_at: tuple[int, int], counts: Counts) -> float | None:
        """Return p95 of a tool's seconds, which stays in a step as long as there is no call."""
        at, known = self._p95.get(tool, (None, None))
        if at != known_at:
            (known,) = percentiles(counts[both("tool_seconds", tool)], 0.95)
            self._p95[tool] = known_at, known
        return known


def _figures(
    counts: Counts, windows: Sequence[Window], about: Sequence[Mapping[str, Any]], now: float
) -> dict[str, Any]:
    turns = counts["turns"]
    return {
        "turns_per_second": turns_per_second(windows, now, _MINUTE_STEPS),
        "turns": sum(turns.values()),
        "failed": turns["error"],
        **summary(counts),
        "running": sum(each.get("running", 0) for each in about),
        "waiting": sum(each.get("waiting", 0) for each in about),
        # Each process says the same of all.
        "background_waiting": max((each.get("background", 0) for each in about), default=0),
    }


def _process(part: Part, now: float) -> dict[str, Any]:
    about = part.about
    tokens, cost = about.get("today", (0, 0))
    figures = _figures(part.window.sum, [part.window], [about], now)
    return {
        "id": part.id,
        "name": about["name"],
        "answers": part.answers,
        "heartbeat_age": round(part.age, 2),
        "alive": part.alive,
        "started_at": about["begun"],
        "memory": about.get("memory"),
        "loop_lag": round(about.get("loop_lag", 0.0), 4),
        "figures": {**figures, "tokens_today": tokens, "cost_today": dollars(cost)},
    }


def _models(parts: Sequence[Part], counts: Counts) -> list[dict[str, Any]]:
    """Join what the processes say of each model; of the breaker what is worst."""
    failures = by_first(counts["failures"])
    said: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for part in parts:
        for model in part.about.get("models", ()) if part.alive else ():
            calls = part.window.sum["calls"][model["name"]]
            said.setdefault(model["name"], []).append((calls, model))
    return [
        {
            "name": name,
            **_worst([model for _, model in of_each], "circuit"),
            "latency": _mean([(n, m["latency"]) for n, m in of_each if m["latency"] is not None]),
            "failing": _mean([(n, m["failing"]) for n, m in of_each]) or 0.0,
            "calls": counts["calls"][name],
            "failures": failures.get(name, {}),
            "tokens": counts["model_tokens"][name],
            "cost": dollars(counts["model_cost"][name]),
        }
        for name, of_each in said.items()
    ]


def _breakers(parts: Sequence[Part]) -> list[dict[str, Any]]:
    said: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        for breaker in part.about.get("breakers", ()) if part.alive else ():
            said.setdefault(breaker["subject"], []).append(breaker)
    return [{"subject": name, **_worst(each, "state")} for name, each in said.items()]


def _worst(said: Sequence[Mapping[str, Any]], state: str) -> dict[str, Any]:
    """Return the worst state that is said, and for how long."""
    worst = max(said, key=lambda each: (_WORSE.index(each[state]), each["retry_after"] or 0.0))
    left = worst["retry_after"]
    return {state: worst[state], "retry_after": None if left is None else round(left, 1)}


def _mean(weighted: Sequence[tuple[int, float]]) -> float | None:
    """Return the mean; of processes that have made no calls what they knew before counts little."""
    if not weighted:
        return None
    weights = [calls or 0.01 for calls, _ in weighted]
    pairs = zip(weights, (number for _, number in weighted), strict=True)
    return round(sum(weight * number for weight, number in pairs) / sum(weights), 4)
