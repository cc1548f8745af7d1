"""A small A2A agent over real HTTP that takes nothing but what the protocol says.

It answers a text with the `answer` that a test gives: at once as a message, or as a task that is
looked at `looks` times before it ends in `state`. Whatever it is sent that is not as the
specification has it is noted in `flaws`, and refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.waiting import PATIENCE, eventually_sync

Json = dict[str, Any]

NEW = {"send": "SendMessage", "get": "GetTask", "cancel": "CancelTask"}
OLD = {"send": "message/send", "get": "tasks/get", "cancel": "tasks/cancel"}


@dataclass
class Agent:
    version: str = "0.3.0"
    answer: str = "It is done."
    looks: int | None = None
    """None: it answers with a message, not with a task."""
    state: str = "completed"
    key: str = ""
    """What every request must bring as a bearer token."""
    endpoint: str = ""
    """What its card says instead of its own address."""
    url: str = ""
    asked: list[Json] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    flaws: list[str] = field(default_factory=list)

    @property
    def new(self) -> bool:
        return self.version.startswith("1.")

    async def card(self, request: Request) -> JSONResponse:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({}, 401)
        url = self.endpoint or f"{self.url}/rpc"
        about = {"name": "tester", "description": "x", "version": "1", "skills": []}
        if self.new:
            where = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": self.version}
            return JSONResponse({**about, "supportedInterfaces": [where]})
        return JSONResponse({**about, "url": url, "protocolVersion": self.version})

    async def rpc(self, request: Request) -> JSONResponse:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({}, 401)
        body = await request.json()
        names = NEW if self.new else OLD
        method = next((kind for kind, name in names.items() if name == body.get("method")), "")
        self.methods.append(method)
        flaw = self._flaw(request, body, method)
        if flaw:
            self.flaws.append(flaw)
            error = {"code": -32602, "message": flaw}
            return JSONResponse({"jsonrpc": "2.0", "id": body.get("id"), "error": error})
        if method == "send":
            self.asked.append(body["params"]["message"])
        result = self._result(method)
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": result})

    def _flaw(self, request: Request, body: Json, method: str) -> str:
        if set(body) != {"jsonrpc", "id", "method", "params"} or not method:
            return f"wrong members or method: {body}"
        if body["jsonrpc"] != "2.0" or not isinstance(body["id"], str):
            return "no JSON-RPC 2.0"
        if (request.headers.get("a2a-version") or "0.3") != self.version[:3]:
            return "another version"
        if method == "send":
            return self._flaw_of_message(body["params"])
        return "" if body["params"] == {"id": "t-1"} else "no such task"

    def _flaw_of_message(self, params: Json) -> str:
        message = params.get("message", {})
        needed = {"messageId", "role", "parts"} | (set() if self.new else {"kind"})
        known = {"acceptedOutputModes", "historyLength"}
        known |= {"returnImmediately"} if self.new else {"blocking"}
        part = {"text"} if self.new else {"kind", "text"}
        right = {
            "members": needed <= set(message) <= {*needed, "metadata", "contextId", "taskId"},
            "role": message.get("role") == ("ROLE_USER" if self.new else "user"),
            "parts": all(set(each) == part for each in message.get("parts", ())),
            "configuration": not set(params.get("configuration", {})) - known,
        }
        return ", ".join(f"wrong {name}" for name, good in right.items() if not good)

    def _result(self, method: str) -> Json:
        part = {"text": self.answer} if self.new else {"kind": "text", "text": self.answer}
        if method == "send" and self.looks is None:
            role = "ROLE_AGENT" if self.new else "agent"
            message: Json = {"messageId": "m-1", "role": role, "parts": [part]}
            return {"message": message} if self.new else {**message, "kind": "message"}
        ended = self.methods.count("get") >= (self.looks or 0)
        state = self.state if ended else "working"
        if self.new:
            state = "TASK_STATE_" + state.replace("-", "_").upper()
        task: Json = {"id": "t-1", "contextId": "c-1", "status": {"state": state}}
        if not self.new:
            task["kind"] = "task"
        if ended and self.state == "completed":
            task["artifacts"] = [{"artifactId": "a-1", "parts": [part]}]
        elif ended:
            task["status"]["message"] = {"messageId": "m-2", "role": "agent", "parts": [part]}
        return {"task": task} if self.new and method == "send" else task


@contextmanager
def serving_agent(agent: Agent) -> Iterator[Agent]:
    """Serve an agent on loopback."""
    routes = [
        Route("/.well-known/agent-card.json", agent.card),
        Route("/rpc", agent.rpc, methods=["POST"]),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually_sync(lambda: server.started or not thread.is_alive())
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        agent.url = f"http://{host}:{port}"
        yield agent
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
