"""The planner on one page: a model that makes a plan, and the steps that are carried out for it.

    START -> model --answer--> END
               |--make_plan--> plan -> dispatch --step by step, side by side--> step
               |                         |  ^                                     |
               |                         |  '-------------------------------------'
               |<------ results ---------'
               '--failure--> fallback_router -> model | offline | stop

The model plans, reads the results, and then answers or plans anew. The offline model does the same.
"""

from collections.abc import Hashable

from langgraph.graph import END, StateGraph

from everturn.graph import agent
from everturn.graph.context import Context, PlannerContext
from everturn.graph.guards.entrance import enter_at
from everturn.graph.nodes.dispatch import after_dispatch, dispatch
from everturn.graph.nodes.fallback_router import fallback_router
from everturn.graph.nodes.model import model_node, offline_node
from everturn.graph.nodes.plan import after_plan, plan
from everturn.graph.nodes.step import step_node
from everturn.graph.nodes.stop import stop
from everturn.graph.planner_state import PlannerOutput, PlannerState, Work
from everturn.graph.routing import after_fallback_router, after_model, after_offline
from everturn.graph.state import Input
from everturn.graph.steps.planning import offered_plan

builder: StateGraph[PlannerState, Context, Input, PlannerOutput] = StateGraph(
    PlannerState, PlannerContext, input_schema=Input, output_schema=PlannerOutput
)
builder.add_node("model", model_node(tools=offered_plan, kind=PlannerContext))
builder.add_node("plan", plan)
builder.add_node("dispatch", dispatch)
builder.add_node("step", step_node(agent.graph), input_schema=Work)
builder.add_node("fallback_router", fallback_router)
builder.add_node("offline", offline_node(tools=offered_plan, kind=PlannerContext))
builder.add_node("stop", stop)

enter_at(builder, "model")
to: dict[Hashable, str] = {"tools": "plan", "fallback_router": "fallback_router", END: END}
builder.add_conditional_edges("model", after_model, to)
builder.add_conditional_edges("offline", after_offline, {"tools": "plan", END: END})
builder.add_conditional_edges("plan", after_plan)
builder.add_conditional_edges("dispatch", after_dispatch, ["step", "model", "offline"])
builder.add_edge("step", "dispatch")
builder.add_conditional_edges("fallback_router", after_fallback_router)
builder.set_finish_point("stop")

graph = builder.compile(name="planner")
