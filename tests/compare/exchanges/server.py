"""One of the two servers, asked: its answers are kept by the name of the request."""

from collections.abc import Iterable
from typing import Any

import httpx

from tests.compare.answers import described
from tests.waiting import eventually_sync

Json = dict[str, Any]
NOWHERE = "11111111-1111-4111-8111-111111111111"
GRAPH: Json = {"assistant_id": "switches"}
HELLO: Json = {**GRAPH, "input": {"messages": [{"role": "user", "content": "hello"}]}}
QUIET: Json = {"wait": 0, "fail": False, "ask": False}


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


def shapes(bodies: Json) -> Iterable[tuple[str, Any]]:
    """Return requests of any shape, with their names."""
    return bodies.items()
