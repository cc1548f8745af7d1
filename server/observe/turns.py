"""One log line and the metrics of each turn, by whichever door it came and however it ended.

So have requests that became no turn, as they were refused.
"""

from collections.abc import Sequence

from structlog import get_logger

from everturn.server.access.caller import Caller
from everturn.server.observe.metrics import Metrics, beside_the_answer
from everturn.server.observe.now.counts import rounded
from everturn.server.observe.now.recorder import owner_of
from everturn.server.turns.outcome import Call, cost_of, usage_of

log = get_logger(__name__)


def report_turn(
    metrics: Metrics,
    *,
    endpoint: str,
    run_id: str,
    session_id: str | None,
    graph: str,
    caller: Caller | None,
    model: str | None,
    calls: Sequence[Call],
    error: BaseException | None,
    cancelled: bool,
    waits: bool,
    seconds: float,
    first_token: float | None,
) -> None:
    """Count a turn and log it; what that raises costs no answer.

    The line also has what is bound where its run is executed: see `observe.context`.

    Args:
        metrics: where it is counted.
        endpoint: the route that asked.
        run_id: its run.
        session_id: the thread; none where the turn remembers nothing.
        graph: that was run.
        caller: whose turn it is; none where nobody has to sign in.
        model: which one answered; none where nothing was.
        calls: of models, however the turn ended.
        error: what it failed with.
        cancelled: by a request.
        waits: for an answer, to go on.
        seconds: from the request to the end of its answer.
        first_token: from the request to the first token that was streamed, where one was.
    """
    with beside_the_answer("turn"):
        passed_on, usage = _fallbacks(calls, model), usage_of(calls)
        model = metrics.models.names(model or "none")
        status = "error" if error else "cancelled" if cancelled else "success"
        log.info(
            "api_request",
            endpoint=endpoint,
            session_id=session_id,
            model_used=model,
            tokens_used=usage["total_tokens"],
            tokens_in=usage["input_tokens"],
            tokens_out=usage["output_tokens"],
            cost=cost_of(calls),
            response_time=round(seconds, 4),
            first_token=None if first_token is None else round(first_token, 4),
            attempts=len(calls),
            fallbacks=len(passed_on),
            status=status,
            error=type(error).__name__ if error else None,
        )
        metrics.turns.requests.labels(endpoint, model, status).inc()
        if error is not None:
            metrics.turns.failed.labels(metrics.turns.errors(type(error).__name__)).inc()
        metrics.turns.duration.labels(endpoint, model).observe(seconds)
        if first_token is not None:
            metrics.turns.first_token.labels(model).observe(first_token)
        for failure in passed_on:
            metrics.models.fallbacks.labels(metrics.models.kinds(failure)).inc()
        for call in calls:
            _count(metrics, call)
        known = metrics.models
        shown = {
            "run_id": run_id,
            "thread_id": session_id,
            "graph": graph,
            "endpoint": endpoint,
            "model": None if model == "none" else model,
            "status": "interrupted" if waits and status == "success" else status,
            "error": type(error).__name__ if error else None,
            "first_token": None if first_token is None else rounded(first_token),
            "seconds": rounded(seconds),
            "tokens": usage["total_tokens"],
            "cost": cost_of(calls),
            "failed_cost": cost_of([call for call in calls if call.failure]),
            "attempts": len(calls),
            "fallbacks": len(passed_on),
        }
        metrics.now.turn_ended(shown, calls, owner_of(caller), (known.names, known.kinds))


def report_refusal(
    metrics: Metrics | None,
    *,
    endpoint: str | None,
    http_status: int,
    kind: str,
    error_id: str | None,
    caller: str | None,
    address: str | None,
) -> None:
    """Count and log a request that is answered with a problem and became no turn.

    Args:
        metrics: where it is counted; none before the service has started.
        endpoint: the route that was asked; none where there is none.
        http_status: of the answer.
        kind: the `type` of the problem.
        error_id: of the problem, if it has one.
        caller: who asked, as a hash; none where that is not known.
        address: the client's.
    """
    with beside_the_answer("refusal"):
        log.info(
            "api_request",
            endpoint=endpoint,
            status="refused",
            http_status=http_status,
            error=kind,
            error_id=error_id,
            caller=caller,
            address=address,
        )
        if metrics is not None:
            metrics.turns.refused.labels(metrics.turns.refusals(kind)).inc()


def _fallbacks(calls: Sequence[Call], answered: str | None) -> list[str]:
    """The classes of the failures after which another model was asked."""
    failed = [call for call in calls if call.failure]
    after = [*(call.model for call in failed[1:]), answered]
    pairs = zip(failed, after, strict=False)
    return [call.failure for call, model in pairs if model not in {None, call.model}]


def _count(metrics: Metrics, call: Call) -> None:
    figures = metrics.models
    model = figures.names(call.model)
    if call.failure:
        figures.failures.labels(model, figures.kinds(call.failure)).inc()
    counted = any(call.usage.values())  # the offline model's are all zero
    for direction in ("input", "output") if counted else ():
        figures.tokens.labels(model, direction).inc(call.usage[f"{direction}_tokens"])
    if call.cost:
        figures.cost.labels(model).inc(call.cost)
