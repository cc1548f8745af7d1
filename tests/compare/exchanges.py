"""The requests that are sent to both servers: each route with right and with wrong input."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from tests.compare.answers import described
from tests.waiting import PATIENCE, eventually_sync

NOWHERE = "11111111-1111-4111-8111-111111111111"
GRAPH = {"assistant_id": "switches"}
HELLO = {**GRAPH, "input": {"messages": [{"role": "user", "content": "hello"}]}}
QUIET = {"wait": 0, "fail": False, "ask": False}


class Server:
    """Asks one server, and keeps its answers by name."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.answers: dict[str, Any] = {}

    def ask(self, name: str, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request; what comes back is compared under this name."""
        assert name not in self.answers, name
        try:
            try:
                answer = self.client.request(method, path, **request)
            except httpx.TransportError:  # the answer before was a 500, which ended the connection
                answer = self.client.request(method, path, **request)
            self.answers[name] = described(answer)
        except httpx.HTTPError as error:
            self.answers[name] = {"broken": type(error).__name__}
            return httpx.Response(599, json={})
        return answer

    def led_to(self, name: str, answer: httpx.Response) -> None:
        """Follow the headers of an answer that say where to go on."""
        for header in ("location", "content-location"):
            if path := answer.headers.get(header):
                self.ask(f"{name}, {header}", "GET", path)

    def left(self, name: str, thread: str) -> None:
        """Look what a request left in the state of a thread of `switches`."""
        state = self.json("GET", f"/threads/{thread}/state")
        steps = (state["values"] or {}).get("steps")
        self.answers[f"{name}, left"] = {"steps": steps, "next": state["next"]}

    def json(self, method: str, path: str, **request: Any) -> Any:
        """Send a request that only prepares another one."""
        try:
            answer = self.client.request(method, path, **request)
        except httpx.TransportError:  # the answer before was a 500, which ended the connection
            answer = self.client.request(method, path, **request)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    def thread(self, **body: Any) -> str:
        """Make a thread."""
        return str(self.json("POST", "/threads", json=body)["thread_id"])

    def ran(self, **given: Any) -> str:
        """Make a thread on which a run has ended."""
        thread = self.thread()
        body = {**GRAPH, "input": {**HELLO["input"], **QUIET, **given}}
        self.json("POST", f"/threads/{thread}/runs/wait", json=body)
        return thread

    def started(self, thread: str, **body: Any) -> str:
        """Start a run in the background."""
        path = f"/threads/{thread}/runs"
        return str(self.json("POST", path, json={**HELLO, **body})["run_id"])

    def until(self, thread: str, run: str, *statuses: str) -> None:
        """Wait until a run has one of these statuses."""
        path = f"/threads/{thread}/runs/{run}"
        eventually_sync(lambda: self.json("GET", path)["status"] in statuses)


def answers_of(url: str) -> dict[str, Any]:
    """Send all requests; returns the answers by name."""
    with httpx.Client(base_url=url, timeout=PATIENCE) as client:
        server = Server(client)
        for part in PARTS:
            part(server)
    return server.answers


def system(server: Server) -> None:
    server.ask("root", "GET", "/")
    server.ask("ok", "GET", "/ok")
    server.ask("ok with check_db", "GET", "/ok?check_db=1")
    server.ask("no route", "GET", "/nothing")
    server.ask("no method", "PUT", "/threads")
    info = server.client.get("/info").json()
    server.answers["info"] = sorted({"version", "flags", "host", "metadata"} & info.keys())


def assistants(server: Server) -> None:
    search = "/assistants/search"
    server.ask("assistants search", "POST", search, json={"graph_id": "switches"})
    own = server.json("POST", search, json={"graph_id": "switches"})[0]["assistant_id"]
    for name, body in {
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
    }.items():
        server.ask(f"assistants search, {name}", "POST", search, json=body)
    server.ask("assistants search, no body", "POST", search)
    server.ask("assistants search, no JSON", "POST", search, content=b"{", headers=_JSON)
    server.ask("assistants count", "POST", "/assistants/count", json={"graph_id": "switches"})
    for name, body in {
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
        "both": {"graph_id": "switches", "context": {"a": 1}, "config": {"configurable": {"a": 2}}},
    }.items():
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


def threads(server: Server) -> None:
    for name, body in {
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
    }.items():
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
    for name, body in {
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
    }.items():
        server.ask(f"threads search, {name}", "POST", "/threads/search", json=body)
    server.ask("threads search, no body", "POST", "/threads/search")
    server.ask("threads count", "POST", "/threads/count", json=mark)
    server.ask("threads count, wrong", "POST", "/threads/count", json={"status": "nothing"})
    server.ask("thread copied", "POST", f"{here}/copy")
    for name, body in {
        "one": {"thread_ids": [server.ran()]},
        "none": {"thread_ids": []},
        "unknown": {"thread_ids": [NOWHERE]},
        "wrong": {"thread_ids": ["abc"]},
        "latest": {"thread_ids": [thread], "strategy": "keep_latest"},
        "wrong strategy": {"thread_ids": [thread], "strategy": "nothing"},
        "nothing": {},
    }.items():
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
    for name, body in {
        "default": {},
        "limit 2": {"limit": 2},
        "limit 0": {"limit": 0},
        "before": {"limit": 1, "before": {"configurable": newest}},
        "before id": {"limit": 1, "before": before},
        "metadata": {"limit": 10, "metadata": {"source": "input"}},
        "checkpoint": {"limit": 1, "checkpoint": newest},
        "wrong limit": {"limit": "x"},
    }.items():
        server.ask(f"history search, {name}", "POST", f"{here}/history", json=body)
    for name, body in {
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
    }.items():
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
    for name, command in {
        "unknown": {"nothing": 1},
        "empty": {},
        "update": {"update": {"steps": ["u"]}},
        "goto": {"goto": "think"},
        "goto unknown": {"goto": "nothing"},
        "goto send": {"goto": {"node": "think", "input": {"steps": []}}},
        "wrong": "text",
        "resume of nothing": {"resume": 1},
    }.items():
        thread = server.ran()
        body = {**GRAPH, "command": command}
        server.ask(f"command {name}", "POST", f"/threads/{thread}/runs/wait", json=body)
        server.ask(f"command {name}, stateless", "POST", "/runs/wait", json=body)
    for name, batch in {
        "none": [],
        "two": [HELLO, HELLO],
        "wrong": [{}],
        "no list": {},
        "unknown": [{"assistant_id": "x"}],
    }.items():
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
    for name, body in {
        "nothing": {},
        "status": {"status": "all"},
        "wrong": {"status": "nothing"},
        "unknown": {"thread_id": thread, "run_ids": [NOWHERE]},
        "thread only": {"thread_id": thread},
        "no ids": {"thread_id": thread, "run_ids": []},
    }.items():
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


def crons(server: Server) -> None:
    yearly = {**HELLO, "schedule": "0 0 1 1 *"}
    thread = server.thread()
    for name, more in {
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
    }.items():
        body = {key: value for key, value in {**yearly, **more}.items() if value is not None}
        server.ask(f"cron, {name}", "POST", "/runs/crons", json=body)
    server.ask("cron on thread", "POST", f"/threads/{thread}/runs/crons", json=yearly)
    server.ask("cron on unknown", "POST", f"/threads/{NOWHERE}/runs/crons", json=yearly)
    search = "/runs/crons/search"
    for name, body in {
        "thread": {"thread_id": thread},
        "metadata": {"metadata": {"a": 1}},
        "select": {"thread_id": thread, "select": ["schedule"]},
        "wrong select": {"select": ["nothing"]},
        "unknown assistant": {"assistant_id": NOWHERE},
        "wrong assistant": {"assistant_id": "nothing"},
        "graph": {"assistant_id": "switches", "limit": 1},
        "limit 0": {"limit": 0},
        "wrong sort": {"sort_by": "nothing"},
    }.items():
        server.ask(f"crons search, {name}", "POST", search, json=body)
    server.ask("crons count", "POST", "/runs/crons/count", json={"thread_id": thread})
    cron = server.json("POST", search, json={"thread_id": thread})[0]["cron_id"]
    here = f"/runs/crons/{cron}"
    server.ask("cron got", "GET", here)
    for name, body in {
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
    }.items():
        server.ask(f"cron changed, {name}", "PATCH", here, json=body)
    server.ask("cron deleted", "DELETE", here)
    server.ask("cron deleted again", "DELETE", here)
    for method in ("GET", "PATCH", "DELETE"):
        body = {"enabled": True} if method == "PATCH" else None
        for where in (NOWHERE, "abc"):
            server.ask(f"cron {where} {method}", method, f"/runs/crons/{where}", json=body)


def store(server: Server) -> None:
    items = "/store/items"
    item = {"namespace": ["a", "b"], "key": "k", "value": {"x": 1}}
    for name, body in {
        "item": item,
        "again": item,
        "no key": {"namespace": ["a"], "value": {}},
        "no namespace": {"key": "k", "value": {}},
        "empty namespace": {"namespace": [], "key": "k", "value": {}},
        "empty label": {"namespace": [""], "key": "k", "value": {}},
        "dotted": {"namespace": ["a.b"], "key": "k", "value": {}},
        "text value": {"namespace": ["a"], "key": "k", "value": "text"},
        "null value": {"namespace": ["n"], "key": "k", "value": None},
        "empty key": {"namespace": ["e"], "key": "", "value": {}},
        "text namespace": {"namespace": "a.t", "key": "k", "value": {}},
        "langgraph": {"namespace": ["langgraph"], "key": "k", "value": {}},
        "ttl": {"namespace": ["t"], "key": "k", "value": {}, "ttl": 5},
        "no index": {"namespace": ["t"], "key": "i", "value": {}, "index": False},
    }.items():
        server.ask(f"store put, {name}", "PUT", items, json=body)
    for query in (
        "key=k&namespace=a.b",
        "key=nothing&namespace=a.b",
        "namespace=a.b",
        "key=k",
        "key=k&namespace=",
        "key=k&namespace=a&namespace=b",
        "key=k&namespace=a.b&refresh_ttl=1",
        "key=k&namespace=a.b&refresh_ttl=maybe",
    ):
        server.ask(f"store get, {query}", "GET", f"{items}?{query}")
    for name, body in {
        "prefix": {"namespace_prefix": ["a"]},
        "nothing": {},
        "unknown": {"namespace_prefix": ["z"]},
        "filter": {"namespace_prefix": ["a", "b"], "filter": {"x": 1}},
        "operator": {"namespace_prefix": ["a", "b"], "filter": {"x": {"$gt": 0}}},
        "wrong operator": {"namespace_prefix": ["a", "b"], "filter": {"x": {"$no": 0}}},
        "limit 0": {"namespace_prefix": ["a"], "limit": 0},
        "wrong limit": {"namespace_prefix": ["a"], "limit": "x"},
        "query": {"namespace_prefix": ["a", "b"], "query": "x"},
        "null": {"namespace_prefix": None},
    }.items():
        server.ask(f"store search, {name}", "POST", f"{items}/search", json=body)
    for name, body in {
        "all": {},
        "prefix": {"prefix": ["a"]},
        "suffix": {"suffix": ["b"]},
        "depth": {"max_depth": 1},
        "wrong depth": {"max_depth": "x"},
        "depth 0": {"max_depth": 0},
        "wildcard": {"prefix": ["*", "b"]},
        "limit 0": {"limit": 0},
    }.items():
        server.ask(f"store namespaces, {name}", "POST", "/store/namespaces", json=body)
    for name, body in {
        "item": {"namespace": ["a", "b"], "key": "k"},
        "unknown": {"namespace": ["a", "b"], "key": "nothing"},
        "no key": {"namespace": ["a"]},
        "no namespace": {"key": "k"},
    }.items():
        server.ask(f"store deleted, {name}", "DELETE", items, json=body)


_JSON = {"Content-Type": "application/json"}
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

PARTS: tuple[Callable[[Server], None], ...] = (
    system,
    assistants,
    threads,
    states,
    runs,
    crons,
    store,
)
