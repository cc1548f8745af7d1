"""A project: what langgraph.json names, loaded as LangGraph's own tools load it."""
