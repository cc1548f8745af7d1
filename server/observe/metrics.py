"""The service's metrics: what is counted where it happens, and what is looked at now and then."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from structlog import get_logger

from everturn.server.observe.figures.declare import Figures
from everturn.server.observe.figures.models import ModelFigures
from everturn.server.observe.figures.process import ProcessFigures
from everturn.server.observe.figures.runs import RunFigures
from everturn.server.observe.figures.stores import StoreFigures
from everturn.server.observe.figures.tools import ToolFigures
from everturn.server.observe.figures.turns import TurnFigures
from everturn.server.observe.now.recorder import Recorder

log = get_logger(__name__)

LOOK_SECONDS = 5.0
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Of several processes: their figures are in files there, also those of processes that ended."""


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
        self.figures = Figures()
        self.turns = TurnFigures(self.figures)
        self.models = ModelFigures(self.figures)
        self.tools = ToolFigures(self.figures)
        self.runs = RunFigures(self.figures)
        self.stores = StoreFigures(self.figures)
        self.process = ProcessFigures(self.figures)
        self.now = Recorder()
        """What is shown at this moment, beside what is scraped."""
        self._looks: list[Callable[[], None]] = [self.process.look]

    def on_look(self, look: Callable[[], None]) -> None:
        """Have figures of the moment set whenever they are looked at; `look` asks no store."""
        self._looks.append(look)

    def look(self) -> None:
        """Set the figures of this moment."""
        for look in self._looks:
            with beside_the_answer("figures"):
                look()

    async def keep_looking(self, seconds: float = LOOK_SECONDS) -> None:
        """Look every so many seconds, for those that scrape another process. Never ends."""
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            due = loop.time() + seconds
            await asyncio.sleep(seconds)
            self.now.loop_lag = max(0.0, loop.time() - due)
            self.process.loop_lag.set(self.now.loop_lag)

    def tool_called(self, tool: str, status: str, seconds: float) -> None:
        """Count a call of a tool."""
        with beside_the_answer("tool call"):
            tool, status = self.tools.names(tool), self.tools.kinds(status)
            self.tools.calls.labels(tool, status).inc()
            self.tools.duration.labels(tool).observe(seconds)
            self.now.tool_called(tool, status, seconds)

    def tool_cache_used(self, tool: str, use: str) -> None:
        """Count a look into the cache of tool results."""
        with beside_the_answer("tool cache"):
            tool = self.tools.names(tool)
            self.tools.cache.labels(tool, use).inc()
            self.now.tool_cache_used(tool, use)

    def response_cache_used(self, use: str) -> None:
        """Count a look into the cache of answers."""
        with beside_the_answer("response cache"):
            self.models.cache.labels(use).inc()

    def summary_counted(self, result: str) -> None:
        """Count a summary of a long conversation: made, failed or simple."""
        with beside_the_answer("summary"):
            self.models.summaries.labels(result).inc()

    def guard_verdict(self, guard: str, verdict: str) -> None:
        """Count what a guard said of what it was shown."""
        with beside_the_answer("guard"):
            names = self.turns.names
            self.turns.guard_verdicts.labels(names(guard), names(verdict)).inc()

    def limit_hit(self, limit: str) -> None:
        """Count that a caller reached a limit; `limit` is one of few names."""
        with beside_the_answer("limit"):
            self.turns.limits_hit.labels(limit).inc()

    def checkpoint_called(self, operation: str, seconds: float, sent: int, received: int) -> None:
        """Count a call of the checkpointer, and the bytes that went there and back."""
        with beside_the_answer("checkpoint"):
            self.stores.checkpoint_time.labels(operation).observe(seconds)
            self.stores.written.inc(sent)
            self.stores.read.inc(received)

    def webhook_sent(self, status: str) -> None:
        """Count an attempt to deliver a webhook."""
        with beside_the_answer("webhook"):
            self.runs.webhooks.labels(status).inc()

    def run_recovered(self) -> None:
        """Count a run that was taken over."""
        with beside_the_answer("recovery"):
            self.runs.recovered.inc()

    def run_left(self, seconds: float) -> None:
        """Count a run that can go on, so many seconds after its process was last alive."""
        with beside_the_answer("recovery"):
            self.runs.recovery.observe(seconds)

    def run_lost(self) -> None:
        """Count a run that was given up."""
        with beside_the_answer("lost run"):
            self.runs.lost.inc()

    def exposition(self) -> bytes:
        """All figures in the Prometheus text format: of all workers, where there are several."""
        self.look()
        return generate_latest(self.scraped)

    @property
    def scraped(self) -> CollectorRegistry:
        """What is scraped; figures of the moment are as old as the last look."""
        folder = os.environ.get(FOLDER)
        return registry_of_all(folder) if folder else self.figures.registry


def registry_of_all(folder: str) -> CollectorRegistry:
    """Return what all processes say that keep their figures in a folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry
