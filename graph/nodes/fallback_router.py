"""The router: a model has failed; which one is asked next?"""

from typing import Any

from langgraph.runtime import Runtime
from structlog import get_logger

from everturn.graph.context import Context, context_of
from everturn.graph.errors import AgentError
from everturn.graph.models.provider import Models
from everturn.graph.offline.filling import can_fill
from everturn.graph.services import current_models
from everturn.graph.state import Route, State
from everturn.graph.steps.choice import choose, follow, offline_route
from everturn.graph.steps.route import taken_back

log = get_logger(__name__)


async def fallback_router(state: State, *, runtime: Runtime[Context]) -> dict[str, Any]:
    """Choose the next route, and emit it as a custom event `fallback`, or `retry`.

    A `retry` asks the model that has just failed once more; its fields are those of `fallback`.
    A run that is resumed here has lost its route, which is never checkpointed: it goes back to
    its first choice.
    """
    failed = state.get("route")
    if failed is None:
        return {}
    chosen = await _next(failed, context_of(runtime), await current_models())
    attempt = failed["tried"][-1]
    to = None if chosen["mode"] == "stopped" else chosen["model"]
    runtime.stream_writer(
        {
            "type": "retry" if to == attempt["model"] else "fallback",
            "from": attempt["model"],
            "to": to,
            "reason": attempt["failure"],
        }
    )
    if chosen["mode"] == "stopped":
        return {"route": chosen, "messages": taken_back(state["messages"])}
    return {"route": chosen}


async def _next(failed: Route, context: Context, models: Models) -> Route:
    """Follow the policy. Where it fails by a bug, the offline model answers."""
    wanted = context.offline_answer
    if context.response_schema is not None and not can_fill(context.response_schema):
        wanted = False
    try:
        return follow(
            failed,
            await choose(failed, context, models),
            first="",  # it has failed: a model is asked again, or another one
            offline_answer=models.settings.offline_answer if wanted is None else wanted,
        )
    except AgentError:
        raise
    except Exception:
        log.exception("router_failed")
        return offline_route(failed, "an error inside the service")
