"""Plain chat: the agent without tools."""

from langgraph.graph import StateGraph

from everturn.graph.context import Context
from everturn.graph.guards.entrance import enter_at
from everturn.graph.nodes.fallback_router import fallback_router
from everturn.graph.nodes.model import model_node, offline_node
from everturn.graph.nodes.stop import stop
from everturn.graph.routing import after_chat_model, after_fallback_router
from everturn.graph.state import Input, Output, State

builder = StateGraph(State, Context, input_schema=Input, output_schema=Output)
builder.add_node("model", model_node())
builder.add_node("fallback_router", fallback_router)
builder.add_node("offline", offline_node())
builder.add_node("stop", stop)

enter_at(builder, "model")
builder.add_conditional_edges("model", after_chat_model)
builder.add_conditional_edges("fallback_router", after_fallback_router)
builder.set_finish_point("offline")
builder.set_finish_point("stop")

graph = builder.compile(name="chat")
