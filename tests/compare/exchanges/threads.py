"""Threads: made, searched, pruned, deleted."""

from tests.compare.exchanges.server import HELLO, NOWHERE, Server, shapes


def threads(server: Server) -> None:
    for name, body in shapes(
        {
            "create": {},
            "metadata": {"metadata": {"a": 1}},
            "wrong metadata": {"metadata": 1},
            "wrong id": {"thread_id": "abc"},
            "ttl": {"ttl": 5},
            "ttl object": {"ttl": {"ttl": 5, "strategy": "delete"}},
            "wrong ttl": {"ttl": -1},
            "graph_id": {"graph_id": "switches"},
            "supersteps": {
                "metadata": {"graph_id": "switches"},
                "supersteps": [{"updates": [{"values": {"steps": ["a"]}, "as_node": "prepare"}]}],
            },
            "supersteps without graph": {
                "supersteps": [{"updates": [{"values": {}, "as_node": "prepare"}]}],
            },
            "supersteps, unknown node": {
                "metadata": {"graph_id": "switches"},
                "supersteps": [{"updates": [{"values": {}, "as_node": "nothing"}]}],
            },
            "wrong if_exists": {"if_exists": "nothing"},
        }
    ):
        server.ask(f"threads create, {name}", "POST", "/threads", json=body)
    server.ask("threads create, no body", "POST", "/threads")
    server.ask("threads create, a list", "POST", "/threads", json=[])
    thread = server.ran()
    server.json("PATCH", f"/threads/{thread}", json={"metadata": {"mark": "m1"}})
    here = f"/threads/{thread}"
    server.ask("threads create, taken", "POST", "/threads", json={"thread_id": thread})
    again = {"thread_id": thread, "if_exists": "do_nothing"}
    server.ask("threads create, taken, do nothing", "POST", "/threads", json=again)
    server.ask("thread", "GET", here)
    server.ask("thread, ttl", "GET", f"{here}?include=ttl")
    server.ask("thread, wrong include", "GET", f"{here}?include=nothing")
    server.ask("thread patched", "PATCH", here, json={"metadata": {"b": 2}})
    server.ask("thread patched, nothing", "PATCH", here, json={})
    server.ask("thread patched, wrong", "PATCH", here, json={"metadata": "x"})
    mark = {"metadata": {"mark": "m1"}}
    for name, body in shapes(
        {
            "one": mark,
            "ids": {"ids": [thread]},
            "no ids": {"ids": [], **mark},
            "unknown ids": {"ids": [NOWHERE]},
            "wrong ids": {"ids": ["abc"]},
            "values": {"values": {"steps": ["prepare", "think"]}, **mark},
            "status": {"status": "idle", **mark},
            "wrong status": {"status": "nothing"},
            "limit 0": {"limit": 0, **mark},
            "limit 2000": {"limit": 2000, **mark},
            "offset 1": {"offset": 1, **mark},
            "offset -1": {"offset": -1},
            "sort": {"sort_by": "thread_id", "sort_order": "asc", **mark},
            "wrong sort": {"sort_by": "nothing"},
            "wrong order": {"sort_order": "nothing"},
            "select": {"select": ["thread_id", "metadata"], **mark},
            "empty select": {"select": [], **mark},
            "wrong select": {"select": ["nothing"], **mark},
            "extract": {"extract": {"first": "values.steps[0]"}, "select": ["thread_id"], **mark},
            "wrong extract": {"extract": {"first": "nothing"}, **mark},
            "empty metadata": {"metadata": {}, "ids": [thread]},
            "null": {"metadata": None, "ids": [thread], "status": None, "values": None},
        }
    ):
        server.ask(f"threads search, {name}", "POST", "/threads/search", json=body)
    server.ask("threads search, no body", "POST", "/threads/search")
    server.ask("threads count", "POST", "/threads/count", json=mark)
    server.ask("threads count, wrong", "POST", "/threads/count", json={"status": "nothing"})
    server.ask("thread copied", "POST", f"{here}/copy")
    for name, body in shapes(
        {
            "one": {"thread_ids": [server.ran()]},
            "none": {"thread_ids": []},
            "unknown": {"thread_ids": [NOWHERE]},
            "wrong": {"thread_ids": ["abc"]},
            "latest": {"thread_ids": [thread], "strategy": "keep_latest"},
            "wrong strategy": {"thread_ids": [thread], "strategy": "nothing"},
            "nothing": {},
        }
    ):
        server.ask(f"threads prune, {name}", "POST", "/threads/prune", json=body)
    server.ask("thread deleted", "DELETE", here)
    server.ask("thread deleted again", "DELETE", here)
    for method, rest in (
        ("GET", ""),
        ("PATCH", ""),
        ("POST", "/copy"),
        ("GET", "/state"),
        ("POST", "/state"),
        ("GET", f"/state/{NOWHERE}"),
        ("GET", "/history"),
        ("POST", "/history"),
        ("DELETE", ""),
        ("POST", "/state/checkpoint"),
        ("GET", "/runs"),
        ("GET", f"/runs/{NOWHERE}"),
        ("GET", f"/runs/{NOWHERE}/join"),
        ("POST", f"/runs/{NOWHERE}/cancel"),
        ("DELETE", f"/runs/{NOWHERE}"),
        ("POST", "/runs/wait"),
        ("POST", "/runs"),
        ("POST", "/runs/stream"),
        ("GET", f"/runs/{NOWHERE}/stream"),
    ):
        sent = HELLO if rest.startswith("/runs") else {"values": {}, "checkpoint": {}}
        body = sent if method in {"POST", "PATCH"} else None
        for name, where in {"unknown": NOWHERE, "wrong": "abc"}.items():
            path = f"/threads/{where}{rest}"
            server.ask(f"thread {name} {method} {rest}", method, path, json=body)
