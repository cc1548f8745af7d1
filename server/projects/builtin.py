"""The graphs that are served where no `langgraph.json` is: those of the installed package."""

from typing import Any

NO_FILE = "no langgraph.json is here: name one with --config to serve graphs of your own"

BUILT_IN: dict[str, Any] = {
    "dependencies": [],
    "graphs": {
        "agent": "everturn.graph.agent:graph",
        "chat": "everturn.graph.chat:graph",
        "simple": "everturn.graph.simple:graph",
        "planner": "everturn.graph.planner:graph",
        "team": "everturn.graph.team:graph",
    },
}
