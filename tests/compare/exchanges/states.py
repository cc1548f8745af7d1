"""States of threads: shown, listed, changed, while runs wait and run."""

from tests.compare.exchanges.server import HELLO, NOWHERE, Server, shapes


def states(server: Server) -> None:
    thread = server.ran()
    empty = server.thread()
    here = f"/threads/{thread}"
    server.json("PATCH", here, json={"metadata": {"owner": "me"}})
    server.json("POST", f"{here}/runs/wait", json={**HELLO, "metadata": {"of": "run"}})
    server.ask("state", "GET", f"{here}/state")
    server.ask("state, empty", "GET", f"/threads/{empty}/state")
    for said in ("1", "true", "yes", "0", "maybe"):
        server.ask(f"state, subgraphs={said}", "GET", f"{here}/state?subgraphs={said}")
    server.ask("state, unknown", "GET", f"{here}/state/{NOWHERE}")
    server.ask("state, wrong", "GET", f"{here}/state/abc")
    newest = server.json("GET", f"{here}/state")["checkpoint"]
    server.ask("state, by id", "GET", f"{here}/state/{newest['checkpoint_id']}")
    at = f"{here}/state/checkpoint"
    server.ask("state at", "POST", at, json={"checkpoint": newest})
    server.ask("state at unknown", "POST", at, json={"checkpoint": {"checkpoint_id": NOWHERE}})
    server.ask("state at nothing", "POST", at, json={})
    server.ask("state at wrong", "POST", at, json={"checkpoint": 1})
    server.ask("history", "GET", f"{here}/history")
    server.ask("history, limit", "GET", f"{here}/history?limit=1")
    server.ask("history, limit 0", "GET", f"{here}/history?limit=0")
    server.ask("history, wrong limit", "GET", f"{here}/history?limit=x")
    before = newest["checkpoint_id"]
    server.ask("history, before", "GET", f"{here}/history?before={before}&limit=1")
    server.ask("history, before unknown", "GET", f"{here}/history?before={NOWHERE}")
    server.ask("history, empty", "GET", f"/threads/{empty}/history")
    for name, body in shapes(
        {
            "default": {},
            "limit 2": {"limit": 2},
            "limit 0": {"limit": 0},
            "before": {"limit": 1, "before": {"configurable": newest}},
            "before id": {"limit": 1, "before": before},
            "metadata": {"limit": 10, "metadata": {"source": "input"}},
            "checkpoint": {"limit": 1, "checkpoint": newest},
            "wrong limit": {"limit": "x"},
        }
    ):
        server.ask(f"history search, {name}", "POST", f"{here}/history", json=body)
    for name, body in shapes(
        {
            "update": {"values": {"steps": ["mine"]}},
            "as node": {"values": {"steps": ["mine"]}, "as_node": "prepare"},
            "unknown node": {"values": {"steps": ["mine"]}, "as_node": "nothing"},
            "null": {"values": None},
            "nothing": {},
            "a list": {"values": [{"steps": ["x"]}]},
            "text": {"values": "text"},
            "unknown key": {"values": {"nothing": 1}},
            "wrong value": {"values": {"steps": 5}},
            "copy": {"values": None, "as_node": "__copy__"},
            "at checkpoint": {"values": {"steps": ["f"]}, "checkpoint": "THEN"},
            "at checkpoint_id": {"values": {"steps": ["f"]}, "checkpoint_id": "THEN"},
            "at unknown checkpoint_id": {"values": {"steps": ["f"]}, "checkpoint_id": NOWHERE},
            "at unknown checkpoint": {
                "values": {"steps": ["f"]},
                "checkpoint": {"checkpoint_id": NOWHERE},
            },
        }
    ):
        thread = server.ran()
        at = server.json("GET", f"/threads/{thread}/history?limit=3")[-1]["checkpoint_id"]
        sent = {**body, "checkpoint_id": at} if body.get("checkpoint_id") == "THEN" else body
        if body.get("checkpoint") == "THEN":
            sent = {**body, "checkpoint": {"checkpoint_id": at}}
        server.ask(f"state {name}", "POST", f"/threads/{thread}/state", json=sent)
        server.left(f"state {name}", thread)
    server.ask("state of no graph", "POST", f"/threads/{empty}/state", json={"values": {"a": 1}})
    server.ask("history after updates", "POST", f"{here}/history", json={"limit": 2})
    delayed = server.ran()
    run = server.started(delayed, after_seconds=30)
    body = {"values": {"steps": ["x"]}}
    server.ask("state while a delayed run", "POST", f"/threads/{delayed}/state", json=body)
    server.ask("thread while a delayed run", "GET", f"/threads/{delayed}")
    server.ask("delayed run", "GET", f"/threads/{delayed}/runs/{run}")
    server.ask("delayed run deleted", "DELETE", f"/threads/{delayed}/runs/{run}")
    server.ask("delayed run cancelled", "POST", f"/threads/{delayed}/runs/{run}/cancel?wait=1")
    busy = server.ran()
    run = server.started(busy, input={**HELLO["input"], "wait": 30})
    server.until(busy, run, "running")
    server.ask("state while a run", "POST", f"/threads/{busy}/state", json=body)
    server.ask("thread while a run", "GET", f"/threads/{busy}")
    server.ask("running run", "GET", f"/threads/{busy}/runs/{run}")
    server.ask("running run deleted", "DELETE", f"/threads/{busy}/runs/{run}")
    server.ask("running run after its deletion", "GET", f"/threads/{busy}/runs/{run}")
    server.ask("running run cancelled", "POST", f"/threads/{busy}/runs/{run}/cancel?wait=true")
    server.ask("thread after cancel", "GET", f"/threads/{busy}")
