"""The router: a model has failed; who is asked next?"""

from typing import Any

from langgraph.runtime import Runtime

from graph.context import Context, context_of
from graph.nodes.choice import choose, follow
from graph.nodes.record import taken_back
from graph.services import current_models
from graph.state import State


async def fallback_router(state: State, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Choose the next route and tell whoever watches, as a custom event `fallback`.

    A run that is resumed here has lost its route: it goes back to its first choice.
    """
    failed = state.get("route")
    if failed is None:
        return {}
    context, models = context_of(runtime), current_models()
    wanted = context.offline_answer
    step = await choose(failed, context, models)
    chosen = follow(
        failed,
        step,
        first="",  # whoever comes after a failure is a fallback
        offline_answer=models.settings.offline_answer if wanted is None else wanted,
    )
    attempt = failed["tried"][-1]
    runtime.stream_writer(
        {
            "type": "fallback",
            "from": attempt["model"],
            "to": None if chosen["mode"] == "stopped" else chosen["model"],
            "reason": attempt["failure"],
        }
    )
    if chosen["mode"] == "stopped":
        return {"route": chosen, "messages": taken_back(state["messages"])}
    return {"route": chosen}
