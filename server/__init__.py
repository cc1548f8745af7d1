"""The service: doors (`api`) ask for runs (`runs`), which execute turns (`turns`) of graphs."""

import os

# Before anything imports langgraph, which reads it once: graphs then list the types of their state,
# and a checkpoint can name no others. The lax default imports any type that a stored blob names.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
