"""The router: a model has failed; who is asked next?"""

from langgraph.runtime import Runtime

from graph.context import Context, context_of
from graph.routing import next_route
from graph.services import current_models
from graph.state import Route, State


async def fallback_router(state: State, *, runtime: Runtime[Context]) -> dict[str, Route]:
    """Choose the next route and tell whoever watches, as a custom event `fallback`."""
    failed = state["route"]
    context = context_of(runtime)
    chosen = next_route(failed, current_models().candidates(context))
    attempt = failed["tried"][-1]
    runtime.stream_writer(
        {
            "type": "fallback",
            "from": attempt["model"],
            "to": None if chosen["mode"] == "stopped" else chosen["model"],
            "reason": attempt["failure"],
        }
    )
    return {"route": chosen}
