"""Crons: made, searched, changed."""

from tests.compare.exchanges.server import HELLO, NOWHERE, Server, shapes


def crons(server: Server) -> None:
    yearly = {**HELLO, "schedule": "0 0 1 1 *"}
    thread = server.thread()
    for name, more in shapes(
        {
            "create": {},
            "timezone": {"timezone": "Europe/Berlin"},
            "wrong timezone": {"timezone": "Nowhere"},
            "wrong schedule": {"schedule": "often"},
            "no schedule": {"schedule": None},
            "unknown assistant": {"assistant_id": "nothing"},
            "end": {"end_time": "2090-01-01T00:00:00Z"},
            "past end": {"end_time": "2020-01-01T00:00:00Z"},
            "disabled": {"enabled": False},
            "keep": {"on_run_completed": "keep"},
            "wrong completion": {"on_run_completed": "nothing"},
            "whole": {
                "metadata": {"a": 1},
                "config": {"tags": ["x"]},
                "stream_mode": ["values", "updates"],
                "interrupt_before": ["think"],
                "webhook": "http://127.0.0.1:9/hook",
                "multitask_strategy": "reject",
                "stream_subgraphs": True,
                "stream_resumable": True,
                "durability": "sync",
            },
            "context": {"context": {"a": 1}},
        }
    ):
        body = {key: value for key, value in {**yearly, **more}.items() if value is not None}
        server.ask(f"cron, {name}", "POST", "/runs/crons", json=body)
    server.ask("cron on thread", "POST", f"/threads/{thread}/runs/crons", json=yearly)
    server.ask("cron on unknown", "POST", f"/threads/{NOWHERE}/runs/crons", json=yearly)
    search = "/runs/crons/search"
    for name, body in shapes(
        {
            "thread": {"thread_id": thread},
            "metadata": {"metadata": {"a": 1}},
            "select": {"thread_id": thread, "select": ["schedule"]},
            "wrong select": {"select": ["nothing"]},
            "unknown assistant": {"assistant_id": NOWHERE},
            "wrong assistant": {"assistant_id": "nothing"},
            "graph": {"assistant_id": "switches", "limit": 1},
            "limit 0": {"limit": 0},
            "wrong sort": {"sort_by": "nothing"},
        }
    ):
        server.ask(f"crons search, {name}", "POST", search, json=body)
    server.ask("crons count", "POST", "/runs/crons/count", json={"thread_id": thread})
    cron = server.json("POST", search, json={"thread_id": thread})[0]["cron_id"]
    here = f"/runs/crons/{cron}"
    server.ask("cron got", "GET", here)
    for name, body in shapes(
        {
            "schedule": {"schedule": "0 0 2 2 *"},
            "wrong schedule": {"schedule": "x"},
            "input": {"input": {"steps": ["new"]}},
            "disabled": {"enabled": False},
            "nothing": {},
            "metadata": {"metadata": {"b": 2}},
            "end": {"end_time": "2090-01-01T00:00:00Z"},
            "no end": {"end_time": None},
            "config": {"config": {"tags": ["y"]}},
            "webhook": {"webhook": "http://127.0.0.1:9/other"},
        }
    ):
        server.ask(f"cron changed, {name}", "PATCH", here, json=body)
    server.ask("cron deleted", "DELETE", here)
    server.ask("cron deleted again", "DELETE", here)
    for method in ("GET", "PATCH", "DELETE"):
        changed = {"enabled": True} if method == "PATCH" else None
        for where in (NOWHERE, "abc"):
            server.ask(f"cron {where} {method}", method, f"/runs/crons/{where}", json=changed)
