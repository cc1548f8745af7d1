"""One model call and nothing else: for a proof of concept, and for reading first."""

from langgraph.graph import StateGraph

from everturn.graph.context import Context
from everturn.graph.guards.entrance import enter_at
from everturn.graph.nodes.model import model_node
from everturn.graph.nodes.stop import stop
from everturn.graph.routing import after_simple_model
from everturn.graph.state import Input, Output, State

builder = StateGraph(State, Context, input_schema=Input, output_schema=Output)
builder.add_node("model", model_node(last=True))
builder.add_node("stop", stop)

enter_at(builder, "model")
builder.add_conditional_edges("model", after_simple_model)
builder.set_finish_point("stop")

graph = builder.compile(name="simple")
