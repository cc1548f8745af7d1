"""The agent on one page: a model, its tools, and what happens when a model fails.

Compiled without a checkpointer: the server that runs the graph brings the memory.
"""

from langgraph.graph import StateGraph

from everturn.graph.context import Context
from everturn.graph.guards.entrance import enter_at
from everturn.graph.nodes.fallback_router import fallback_router
from everturn.graph.nodes.model import model_node, offline_node
from everturn.graph.nodes.stop import stop
from everturn.graph.nodes.tools import tools
from everturn.graph.routing import after_fallback_router, after_model, after_offline, after_tools
from everturn.graph.state import Input, Output, State

builder = StateGraph(State, Context, input_schema=Input, output_schema=Output)
builder.add_node("model", model_node(tools=True))
builder.add_node("tools", tools)
builder.add_node("fallback_router", fallback_router)
builder.add_node("offline", offline_node(tools=True))
builder.add_node("stop", stop)

enter_at(builder, "model")
builder.add_conditional_edges("model", after_model)
builder.add_conditional_edges("tools", after_tools)
builder.add_conditional_edges("fallback_router", after_fallback_router)
builder.add_conditional_edges("offline", after_offline)
builder.set_finish_point("stop")

graph = builder.compile(name="agent")
