"""One log line and two metrics for each chat turn, however it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from structlog import get_logger

from server.metrics import Metrics
from server.runs.outcome import Outcome

log = get_logger(__name__)


@dataclass(slots=True)
class Observation:
    """Filled in by the route as it learns; read when the turn has ended."""

    session_id: str | None = None
    outcome: Outcome | None = None
    status: str = "error"


@contextmanager
def observed(metrics: Metrics, endpoint: str) -> Iterator[Observation]:
    """Time a turn; what leaves the block without an outcome counts as an error."""
    seen = Observation()
    begun = perf_counter()
    try:
        yield seen
    finally:
        outcome = seen.outcome
        model = (outcome and outcome.route["model"]) or "none"
        status = "success" if outcome else seen.status
        seconds = perf_counter() - begun
        for attempt in outcome.route["tried"] if outcome else ():
            metrics.model_failures.labels(attempt["model"], attempt["failure"]).inc()
        metrics.requests.labels(endpoint, model, status).inc()
        metrics.duration.labels(endpoint, model).observe(seconds)
        log.info(
            "api_request",
            endpoint=endpoint,
            session_id=seen.session_id,
            model_used=model,
            tokens_used=outcome.usage["total_tokens"] if outcome else 0,
            response_time=round(seconds, 4),
            status=status,
        )
