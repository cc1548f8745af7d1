"""The service's metrics, in a registry of their own so that two apps can live in one process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from structlog import get_logger

log = get_logger(__name__)

# From the offline model's milliseconds to the longest turn (EVERTURN_TURN_TIMEOUT's default).
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180, 300)

MAX_MODELS = 200


@contextmanager
def beside_the_answer(what: str) -> Iterator[None]:
    """Count or log something about a turn; what that raises is logged and costs no answer."""
    try:
        yield
    except Exception:
        log.exception("not_counted", what=what)


class Metrics:
    """What Prometheus scrapes at `/metrics`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._models: set[str] = set()
        self.requests = Counter(
            "chat_requests_total",
            "Turns of all routes, by route, model and how they ended.",
            ["endpoint", "model", "status"],
            registry=self._registry,
        )
        self.duration = Histogram(
            "chat_response_duration_seconds",
            "Seconds from the request to the end of its answer.",
            ["endpoint", "model"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.model_failures = Counter(
            "model_failures_total",
            "Times a model did not answer, or was kept from being asked by what it or its key had "
            "done before (circuit_open, invalid_api_key), by model and class of failure.",
            ["model", "failure"],
            registry=self._registry,
        )
        self.model_tokens = Counter(
            "model_tokens_total",
            "Tokens of model calls, failed ones included where known, by direction. The offline "
            "model has none.",
            ["model", "direction"],
            registry=self._registry,
        )
        self.model_cost = Counter(
            "model_cost_dollars_total",
            "US dollars for model calls, failed ones included where known.",
            ["model"],
            registry=self._registry,
        )

        self.tool_calls = Counter(
            "tool_calls_total",
            "Calls of a tool, by tool and status: success, or a class of failure.",
            ["tool", "status"],
            registry=self._registry,
        )
        self.tool_duration = Histogram(
            "tool_duration_seconds",
            "Seconds of a tool's call, answers from the cache included.",
            ["tool"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.tool_cache = Counter(
            "tool_cache_total",
            "Looks into the cache of tool results: hit, miss, joined (another caller was asking "
            "the same) or uncached (the store did not answer).",
            ["tool", "result"],
            registry=self._registry,
        )
        self.guard_verdicts = Counter(
            "everturn_guard_verdicts_total",
            "What guards found, by guard and what was done: mark, redact or block.",
            ["guard", "verdict"],
            registry=self._registry,
        )

        self.running = self._gauge(
            "everturn_runs_running", "Runs under way in this process; EVERTURN_MAX_RUNS at most."
        )
        self.waiting = self._gauge(
            "everturn_runs_waiting",
            "Runs of clients that wait for a place among those under way in this process.",
        )
        self.waiting_age = self._gauge(
            "everturn_runs_oldest_waiting_seconds",
            "Since when the next of them waits.",
            of_all="livemax",
        )
        self.queue = self._gauge(
            "everturn_background_runs_waiting",
            "Runs of the background that are due and wait for a process: of all processes, each "
            "says the same.",
            of_all="livemax",
        )
        self.queue_age = self._gauge(
            "everturn_background_runs_oldest_waiting_seconds",
            "Since when the first of them waits.",
            of_all="livemax",
        )
        self.stored = Gauge(
            "everturn_stored_bytes",
            "Bytes of a store, measured once a minute: sql, redis (all keys at the server), aof "
            "(its append-only file), and events (the event logs that this process writes).",
            ["store"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )

    def _gauge(
        self, name: str, what: str, *, of_all: Literal["livesum", "livemax"] = "livesum"
    ) -> Gauge:
        """A figure of this process; `of_all` says what becomes of those of several workers."""
        return Gauge(name, what, registry=self._registry, multiprocess_mode=of_all)

    def model_label(self, model: str) -> str:
        """Return a model's name, or `other` where a graph has named very many already.

        Each name is a series for each counter, for as long as the process lives.
        """
        if len(self._models) < MAX_MODELS:
            self._models.add(model)
        return model if model in self._models else "other"

    def tool_called(self, tool: str, status: str, seconds: float) -> None:
        """Count a call of a tool."""
        with beside_the_answer("tool call"):
            self.tool_calls.labels(tool, status).inc()
            self.tool_duration.labels(tool).observe(seconds)

    def tool_cache_used(self, tool: str, use: str) -> None:
        """Count a look into the cache of tool results."""
        with beside_the_answer("tool cache"):
            self.tool_cache.labels(tool, use).inc()

    def guard_verdict(self, guard: str, verdict: str) -> None:
        """Count what a guard found."""
        with beside_the_answer("guard"):
            self.guard_verdicts.labels(guard, verdict).inc()

    def exposition(self) -> bytes:
        """All figures in the Prometheus text format: of all workers, where there are several."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        # Their counters are in files there, also those of workers that have ended.
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
