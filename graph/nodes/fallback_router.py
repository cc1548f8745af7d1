"""The router: a model has failed; who is asked next?"""

from langgraph.runtime import Runtime

from graph.context import Context, context_of
from graph.nodes.choice import choose, follow
from graph.services import current_models
from graph.state import Route, State


async def fallback_router(state: State, *, runtime: Runtime[Context]) -> dict[str, Route]:
    """Choose the next route and tell whoever watches, as a custom event `fallback`."""
    failed = state["route"]
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
    return {"route": chosen}
