"""One log line and the metrics of each turn, however it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from structlog import get_logger

from everturn.server.observe.metrics import Metrics, beside_the_answer
from everturn.server.turns.outcome import Call, Outcome, failed_calls

log = get_logger(__name__)


@dataclass(slots=True)
class Observation:
    """Filled in by the route as it learns; read when the turn has ended."""

    session_id: str | None = None
    outcome: Outcome | None = None
    error: Exception | None = None
    status: str = "error"


@contextmanager
def observed(metrics: Metrics, endpoint: str) -> Iterator[Observation]:
    """Time a turn; what leaves the block without an outcome counts as an error."""
    seen = Observation()
    begun = perf_counter()
    try:
        yield seen
    except Exception as error:
        seen.error = error
        raise
    finally:
        with beside_the_answer("turn"):
            _report(metrics, endpoint, seen, perf_counter() - begun)


def _report(metrics: Metrics, endpoint: str, seen: Observation, seconds: float) -> None:
    outcome = seen.outcome
    model = (outcome and outcome.route["model"]) or "none"
    status = "success" if outcome else "error" if seen.error else seen.status
    log.info(
        "api_request",
        endpoint=endpoint,
        session_id=seen.session_id,
        model_used=model,
        tokens_used=outcome.usage["total_tokens"] if outcome else 0,
        response_time=round(seconds, 4),
        status=status,
    )
    metrics.requests.labels(endpoint, model, status).inc()
    metrics.duration.labels(endpoint, model).observe(seconds)
    # An error that the graph ends with says who was asked before.
    calls = outcome.new_calls if outcome else failed_calls(getattr(seen.error, "route", None))
    for call in calls:
        _count(metrics, call)


def _count(metrics: Metrics, call: Call) -> None:
    if call.failure:
        metrics.model_failures.labels(call.model, call.failure).inc()
    for direction in ("input", "output") if call.usage else ():
        metrics.model_tokens.labels(call.model, direction).inc(call.usage[f"{direction}_tokens"])
    if call.cost:
        metrics.model_cost.labels(call.model).inc(call.cost)
