"""One log line and the metrics of each turn, by whichever door it came and however it ended."""

from datetime import UTC, datetime

from structlog import get_logger

from everturn.server.observe.metrics import Metrics, beside_the_answer
from everturn.server.turns.outcome import Call, Outcome, failed_calls

log = get_logger(__name__)


def report_turn(
    metrics: Metrics,
    *,
    endpoint: str,
    session_id: str | None,
    outcome: Outcome | None,
    error: BaseException | None,
    cancelled: bool,
    started_at: datetime,
) -> None:
    """Count a turn and log it; what that raises costs no answer."""
    with beside_the_answer("turn"):
        seconds = (datetime.now(UTC) - started_at).total_seconds()
        model = metrics.model_label((outcome and outcome.route["model"]) or "none")
        status = "error" if error else "cancelled" if cancelled else "success"
        log.info(
            "api_request",
            endpoint=endpoint,
            session_id=session_id,
            model_used=model,
            tokens_used=outcome.usage["total_tokens"] if outcome else 0,
            response_time=round(seconds, 4),
            status=status,
        )
        metrics.requests.labels(endpoint, model, status).inc()
        metrics.duration.labels(endpoint, model).observe(seconds)
        # An error that the graph ends with says who was asked before.
        calls = outcome.new_calls if outcome else failed_calls(getattr(error, "route", None))
        for call in calls:
            _count(metrics, call)


def _count(metrics: Metrics, call: Call) -> None:
    model = metrics.model_label(call.model)
    if call.failure:
        metrics.model_failures.labels(model, call.failure).inc()
    counted = any(call.usage.values())  # the offline model's are all zero
    for direction in ("input", "output") if counted else ():
        metrics.model_tokens.labels(model, direction).inc(call.usage[f"{direction}_tokens"])
    if call.cost:
        metrics.model_cost.labels(model).inc(call.cost)
