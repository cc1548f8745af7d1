"""Assistants: made, searched, changed, drawn."""

from tests.compare.exchanges.server import NOWHERE, Server, shapes

_JSON = {"Content-Type": "application/json"}


def assistants(server: Server) -> None:
    search = "/assistants/search"
    server.ask("assistants search", "POST", search, json={"graph_id": "switches"})
    own = server.json("POST", search, json={"graph_id": "switches"})[0]["assistant_id"]
    for name, body in shapes(
        {
            "unknown graph": {"graph_id": "nothing"},
            "wrong type": {"limit": "many"},
            "limit 0": {"limit": 0},
            "limit 2000": {"limit": 2000},
            "wrong sort": {"sort_by": "nothing"},
            "select": {"graph_id": "switches", "select": ["name"]},
            "wrong select": {"select": ["nothing"]},
            "empty select": {"graph_id": "switches", "select": []},
            "unknown field": {"graph_id": "switches", "nothing": 1},
            "name": {"name": "switch"},
            "metadata": {"metadata": {"created_by": "system"}, "graph_id": "other"},
        }
    ):
        server.ask(f"assistants search, {name}", "POST", search, json=body)
    server.ask("assistants search, no body", "POST", search)
    server.ask("assistants search, no JSON", "POST", search, content=b"{", headers=_JSON)
    server.ask("assistants count", "POST", "/assistants/count", json={"graph_id": "switches"})
    for name, body in shapes(
        {
            "create": {"graph_id": "switches"},
            "without graph": {},
            "unknown graph": {"graph_id": "nothing"},
            "wrong id": {"graph_id": "switches", "assistant_id": "abc"},
            "taken": {"graph_id": "switches", "assistant_id": own},
            "taken, do nothing": {
                "graph_id": "switches",
                "assistant_id": own,
                "if_exists": "do_nothing",
            },
            "whole": {
                "graph_id": "switches",
                "name": "Mine",
                "description": "For me.",
                "config": {"configurable": {"a": 1}, "tags": ["x"], "recursion_limit": 7},
                "metadata": {"b": 2},
            },
            "context": {"graph_id": "switches", "context": {"a": 1}},
            "both": {
                "graph_id": "switches",
                "context": {"a": 1},
                "config": {"configurable": {"a": 2}},
            },
        }
    ):
        server.ask(f"assistants create, {name}", "POST", "/assistants", json=body)
    mine = server.json("POST", "/assistants", json={"graph_id": "switches"})["assistant_id"]
    here = f"/assistants/{mine}"
    server.ask("assistant", "GET", here)
    server.ask("assistant patched", "PATCH", here, json={"name": "New", "metadata": {"a": 1}})
    server.ask("assistant patched, nothing", "PATCH", here, json={})
    server.ask("assistant patched, wrong graph", "PATCH", here, json={"graph_id": "nothing"})
    server.ask("assistant versions", "POST", f"{here}/versions", json={})
    server.ask(
        "assistant versions, metadata", "POST", f"{here}/versions", json={"metadata": {"a": 1}}
    )
    server.ask("assistant latest", "POST", f"{here}/latest", json={"version": 1})
    server.ask("assistant latest, unknown", "POST", f"{here}/latest", json={"version": 99})
    server.ask("assistant latest, nothing", "POST", f"{here}/latest", json={})
    for xray in ("", "?xray=true", "?xray=1", "?xray=yes", "?xray=0", "?xray=-1"):
        server.ask(f"assistant graph{xray}", "GET", f"{here}/graph{xray}")
    server.ask("assistant schemas", "GET", f"{here}/schemas")
    server.ask("assistant subgraphs", "GET", f"{here}/subgraphs")
    server.ask("assistant subgraphs, 1", "GET", f"{here}/subgraphs?recurse=1")
    server.ask("assistant subgraphs, wrong", "GET", f"{here}/subgraphs?recurse=maybe")
    server.ask("assistant subgraph", "GET", f"{here}/subgraphs/nothing")
    server.ask("assistant deleted", "DELETE", here)
    server.ask("assistant deleted again", "DELETE", here)
    for method, rest in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/graph"),
        ("GET", "/schemas"),
        ("GET", "/subgraphs"),
        ("POST", "/versions"),
        ("POST", "/latest"),
    ):
        body = {"version": 1} if method in {"POST", "PATCH"} else None
        for name, where in {"unknown": NOWHERE, "wrong": "no_graph"}.items():
            server.ask(
                f"assistant {name} {method} {rest}", method, f"/assistants/{where}{rest}", json=body
            )
