"""The team on one page: a supervisor's model, and specialists that it asks as it calls tools.

    START -> model --answer--> END
               |--calls--> delegate --one each, side by side--> mathematician | forecaster | …
               |              |  ^                                     |
               |<-- results --'  '-------------------------------------'
               '--failure--> fallback_router -> model | offline | stop

A specialist that has colleagues is a team of its own, one level below.
"""

from collections.abc import Hashable

from langgraph.graph import END, StateGraph

from everturn.graph import agent
from everturn.graph.context import Context, TeamContext
from everturn.graph.guards.entrance import enter_at
from everturn.graph.nodes.delegate import after_delegate, delegate
from everturn.graph.nodes.fallback_router import fallback_router
from everturn.graph.nodes.model import model_node, offline_node
from everturn.graph.nodes.specialist import specialist_node
from everturn.graph.nodes.stop import stop
from everturn.graph.nodes.tools import tools_node
from everturn.graph.routing import (
    after_fallback_router,
    after_model,
    after_offline,
    after_tools,
)
from everturn.graph.specialists import find_specialists
from everturn.graph.state import Input, Output
from everturn.graph.steps.team import offered_own_tools, offered_team
from everturn.graph.team_state import Task, TeamState

builder: StateGraph[TeamState, Context, Input, Output] = StateGraph(
    TeamState, TeamContext, input_schema=Input, output_schema=Output
)
builder.add_node("model", model_node(tools=offered_team, kind=TeamContext))
builder.add_node("delegate", delegate)
builder.add_node("tools", tools_node(offered_own_tools, TeamContext))
builder.add_node("fallback_router", fallback_router)
builder.add_node("offline", offline_node(tools=offered_team, kind=TeamContext))
builder.add_node("stop", stop)
for name, specialist in find_specialists().items():
    builder.add_node(name, specialist_node(specialist, agent.graph), input_schema=Task)
    builder.add_edge(name, "delegate")

enter_at(builder, "model")
to: dict[Hashable, str] = {"tools": "delegate", "fallback_router": "fallback_router", END: END}
builder.add_conditional_edges("model", after_model, to)
builder.add_conditional_edges("offline", after_offline, {"tools": "delegate", END: END})
back = ["model", "offline", "tools", *find_specialists()]
builder.add_conditional_edges("delegate", after_delegate, back)
builder.add_conditional_edges("tools", after_tools)
builder.add_conditional_edges("fallback_router", after_fallback_router)
builder.set_finish_point("stop")

graph = builder.compile(name="team")
