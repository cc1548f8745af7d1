"""Runs: started, streamed, joined, cancelled, deleted."""

from contextlib import suppress
from typing import Any

from tests.compare.exchanges.server import GRAPH, HELLO, NOWHERE, Server, shapes

_OPTIONS: dict[str, Any] = {
    "no assistant": {"input": {}},
    "unknown assistant": {"assistant_id": NOWHERE, "input": {}},
    "wrong assistant": {"assistant_id": "nothing", "input": {}},
    "no input": GRAPH,
    "empty input": {**GRAPH, "input": {}},
    "text input": {**GRAPH, "input": "text"},
    "unknown key": {**GRAPH, "input": {"nothing": 1}},
    "unknown field": {**HELLO, "nothing": 1},
    "wrong stream_mode": {**HELLO, "stream_mode": "nothing"},
    "no stream_mode": {**HELLO, "stream_mode": []},
    "interrupt_before": {**HELLO, "interrupt_before": ["think"]},
    "interrupt_before all": {**HELLO, "interrupt_before": "*"},
    "interrupt_before unknown": {**HELLO, "interrupt_before": ["nothing"]},
    "interrupt_before text": {**HELLO, "interrupt_before": "think"},
    "interrupt_after": {**HELLO, "interrupt_after": ["prepare"]},
    "durability": {**HELLO, "durability": "exit"},
    "wrong durability": {**HELLO, "durability": "nothing"},
    "checkpoint_during": {**HELLO, "checkpoint_during": False},
    "unknown checkpoint_id": {**HELLO, "checkpoint_id": NOWHERE},
    "unknown checkpoint": {**HELLO, "checkpoint": {"checkpoint_id": NOWHERE}},
    "wrong checkpoint": {**HELLO, "checkpoint": 1},
    "unknown checkpoint_id, resume": {**GRAPH, "command": {"resume": 1}, "checkpoint_id": NOWHERE},
    "recursion_limit": {**HELLO, "config": {"recursion_limit": 1}},
    "wrong recursion_limit": {**HELLO, "config": {"recursion_limit": "x"}},
    "wrong config": {**HELLO, "config": "x"},
    "wrong metadata": {**HELLO, "metadata": "x"},
    "both": {**HELLO, "context": {"a": 1}, "config": {"configurable": {"a": 2}}},
    "wrong after_seconds": {**HELLO, "after_seconds": -1},
    "after_seconds": {**HELLO, "after_seconds": 0.1},
    "wrong strategy": {**HELLO, "multitask_strategy": "nothing"},
    "wrong on_disconnect": {**HELLO, "on_disconnect": "nothing"},
    "wrong on_completion": {**HELLO, "on_completion": "nothing"},
    "keep": {**HELLO, "on_completion": "keep"},
    "wrong if_not_exists": {**HELLO, "if_not_exists": "nothing"},
    "wrong webhook": {**HELLO, "webhook": "nothing"},
    "feedback_keys": {**HELLO, "feedback_keys": ["a"]},
    "fail": {**GRAPH, "input": {**HELLO["input"], "fail": True}},
    "ask": {**GRAPH, "input": {**HELLO["input"], "ask": True}},
    "nulls": {
        **HELLO,
        "config": None,
        "metadata": None,
        "context": None,
        "command": None,
        "interrupt_before": None,
        "stream_mode": None,
        "webhook": None,
    },
}


def runs(server: Server) -> None:
    doors = {"wait": "/runs/wait", "stream": "/runs/stream", "start": "/runs"}
    long = {**GRAPH, "input": {**HELLO["input"], "wait": 30}}
    for name, rest in doors.items():
        thread = server.thread()
        answer = server.ask(f"{name} on thread", "POST", f"/threads/{thread}{rest}", json=HELLO)
        if name == "start":
            server.until(thread, answer.json()["run_id"], "success")
        server.led_to(f"{name} on thread", answer)
        answer = server.ask(f"{name} stateless", "POST", rest, json=HELLO)
        server.led_to(f"{name} stateless", answer)
    for name, body in _OPTIONS.items():
        thread = server.ran()
        server.ask(f"wait, {name}", "POST", f"/threads/{thread}/runs/wait", json=body)
        server.ask(f"wait, {name}, stateless", "POST", "/runs/wait", json=body)
        server.left(f"wait, {name}", thread)
    for mode in (
        "values",
        "updates",
        "messages",
        "messages-tuple",
        "custom",
        "debug",
        "tasks",
        "checkpoints",
        "events",
        "nothing",
        "tools",
    ):
        thread = server.thread()
        body = {**HELLO, "stream_mode": mode, "stream_resumable": True}
        server.ask(f"stream, {mode}", "POST", f"/threads/{thread}/runs/stream", json=body)
    for name, said in {"fail": {"fail": True}, "ask": {"ask": True}}.items():
        thread = server.thread()
        body = {**GRAPH, "input": {**HELLO["input"], **said}, "stream_mode": ["values", "updates"]}
        server.ask(f"stream, {name}", "POST", f"/threads/{thread}/runs/stream", json=body)
        server.ask(f"thread after {name}", "GET", f"/threads/{thread}")
        server.ask(f"runs after {name}", "GET", f"/threads/{thread}/runs")
        server.ask(f"state after {name}", "GET", f"/threads/{thread}/state")
        body = {**GRAPH, "command": {"resume": "fine"}}
        server.ask(f"resumed after {name}", "POST", f"/threads/{thread}/runs/wait", json=body)
    for where in (NOWHERE, "abc"):
        server.ask(f"stateless run {where}, stream", "GET", f"/runs/{where}/stream")
    same = {**HELLO, "context": {"a": 1}, "config": {"configurable": {"a": 1}}}
    server.ask("wait, both the same", "POST", "/runs/wait", json=same)
    for name, configurable in {"place": {"thread_id": NOWHERE}, "empty": {}}.items():
        body = {**HELLO, "context": {"a": 1}, "config": {"configurable": configurable}}
        server.ask(f"wait, both, {name}", "POST", "/runs/wait", json=body)
    for name, command in shapes(
        {
            "unknown": {"nothing": 1},
            "empty": {},
            "update": {"update": {"steps": ["u"]}},
            "goto": {"goto": "think"},
            "goto unknown": {"goto": "nothing"},
            "goto send": {"goto": {"node": "think", "input": {"steps": []}}},
            "wrong": "text",
            "resume of nothing": {"resume": 1},
        }
    ):
        thread = server.ran()
        body = {**GRAPH, "command": command}
        server.ask(f"command {name}", "POST", f"/threads/{thread}/runs/wait", json=body)
        server.ask(f"command {name}, stateless", "POST", "/runs/wait", json=body)
    for name, batch in shapes(
        {
            "none": [],
            "two": [HELLO, HELLO],
            "wrong": [{}],
            "no list": {},
            "unknown": [{"assistant_id": "x"}],
        }
    ):
        server.ask(f"batch, {name}", "POST", "/runs/batch", json=batch)
    thread = server.ran()
    here = f"/threads/{thread}/runs"
    for query in (
        "",
        "?limit=0",
        "?limit=1",
        "?limit=2000",
        "?offset=1",
        "?offset=-1",
        "?status=success",
        "?status=nothing",
        "?select=run_id",
        "?select=nothing",
    ):
        server.ask(f"runs{query}", "GET", f"{here}{query}")
    run = server.json("GET", here)[0]["run_id"]
    other = server.ran()
    server.ask("run of another thread", "GET", f"/threads/{other}/runs/{run}")
    for rest in ("", "/join", "/stream"):
        server.ask(f"run{rest}", "GET", f"{here}/{run}{rest}")
        for where in (NOWHERE, "abc"):
            server.ask(f"run {where}{rest}", "GET", f"{here}/{where}{rest}")
    for last in ("-1", "0", "nothing", "1-0", "9999999999999-0"):
        headers = {"Last-Event-ID": last}
        server.ask(f"stream after {last}", "GET", f"{here}/{run}/stream", headers=headers)
    for query in ("?wait=1", "?wait=true", "?wait=yes", "?wait=maybe", "?action=nothing", ""):
        server.ask(f"ended run cancelled{query}", "POST", f"{here}/{run}/cancel{query}")
        thread = server.thread()
        running = server.started(thread, input=long["input"])
        server.until(thread, running, "running")
        path = f"/threads/{thread}/runs/{running}"
        server.ask(f"run cancelled{query}", "POST", f"{path}/cancel{query}")
        with suppress(AssertionError):
            server.json("POST", f"{path}/cancel?wait=1")
        server.until(thread, running, "interrupted")
    thread = server.ran()
    running = server.started(thread, input=long["input"])
    server.until(thread, running, "running")
    path = f"/threads/{thread}/runs/{running}"
    server.ask("run rolled back", "POST", f"{path}/cancel?wait=1&action=rollback")
    server.ask("run after rollback", "GET", path)
    server.ask("run deleted", "DELETE", f"{here}/{run}")
    server.ask("run deleted again", "DELETE", f"{here}/{run}")
    for name, body in shapes(
        {
            "nothing": {},
            "status": {"status": "all"},
            "wrong": {"status": "nothing"},
            "unknown": {"thread_id": thread, "run_ids": [NOWHERE]},
            "thread only": {"thread_id": thread},
            "no ids": {"thread_id": thread, "run_ids": []},
        }
    ):
        server.ask(f"cancel several, {name}", "POST", "/runs/cancel", json=body)
    thread = server.thread()
    running = server.started(thread, input={**HELLO["input"], "wait": 1.5})
    server.until(thread, running, "running")
    headers = {"Last-Event-ID": "nothing"}
    path = f"/threads/{thread}/runs/{running}/stream"
    server.ask("live stream after an unknown event", "GET", path, headers=headers)
    for strategy in ("reject", "interrupt", "rollback", "nothing"):
        thread = server.thread()
        first = server.started(thread, input=long["input"])
        server.until(thread, first, "running")
        body = {**HELLO, "input": {**HELLO["input"], "wait": 0}, "multitask_strategy": strategy}
        path = f"/threads/{thread}/runs"
        server.ask(f"strategy {strategy}", "POST", f"{path}/wait", json=body)
        server.ask(f"strategy {strategy}, first", "GET", f"{path}/{first}")
        server.client.post("/runs/cancel", json={"status": "all"})
