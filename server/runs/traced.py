"""A run in its trace: the span around it, and what it came to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from everturn.server.observe.metrics import beside_the_answer
from everturn.server.runs.run import Run
from everturn.server.turns.outcome import cost_of, usage_of

if TYPE_CHECKING:
    from everturn.server.observe.otel.traces import Traces


@contextmanager
def traced(traces: "Traces | None", run: Run) -> Iterator[None]:
    """Make a span of a run, from its start until its end is stored."""
    if traces is None:
        yield
        return
    about = {
        "everturn.run.id": run.row.run_id,
        "everturn.run.attempt": run.feed.attempt,
        "everturn.run.door": run.request.door,
    }
    thread_id = None if run.request.without_memory else run.thread_id
    graph, traceparent = run.assistant.graph_id, run.request.traceparent
    with traces.run(graph, thread_id, about, traceparent) as span:
        run.callbacks = span.callbacks
        try:
            yield
        finally:
            with beside_the_answer("trace"):
                span.end(_end(run), type(run.error).__name__ if run.error else None)


def _end(run: Run) -> dict[str, Any]:
    """What a run came to; tokens and cost are those of all its calls."""
    calls, outcome = run.calls, run.outcome
    usage = usage_of(calls)
    return {
        "everturn.run.status": "handed_over" if run.goes_on_elsewhere else run.status,
        "everturn.error_id": run.error_id or None,
        "everturn.route.mode": outcome.route["mode"] if outcome else None,
        "everturn.cost": cost_of(calls),
        "gen_ai.request.model": outcome.route["model"] if outcome else None,
        "gen_ai.usage.input_tokens": usage["input_tokens"],
        "gen_ai.usage.output_tokens": usage["output_tokens"],
    }
