"""A turn with a hostile provider, by every door, and what must hold of it.

It ends with an answer or a documented error. No error shows the key or a page. The thread can be
read afterwards, and with a provider that behaves, its next turn is answered.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import httpx

from everturn.graph.models.breaker import Breaker
from tests.provider import KEY, FakeProvider
from tests.provider.script import Step
from tests.service import Client, serving

MODEL = "m"
DOORS = ("message", "stream", "invoke", "runs")
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"offline_answer": False},
    {"stream_policy": "buffer"},
    {"use_tools": False},
)
STREAM_MODES = ["values", "updates", "messages-tuple", "custom", "debug"]
DOCUMENTED = {
    (503, "provider-failed"),
    (503, "no-model-left"),
    (503, "invalid-api-key"),
    (422, "request-refused"),
    (504, "turn-timeout"),
}
LIMITS = {"first_token_timeout": 1.0, "stall_timeout": 1.0, "turn_timeout": 5.0}
HANGS = 60.0
"""Seconds for what the service has five; more would only be waited in vain."""


_TURN = {"messages": [{"role": "user", "content": "hi"}]}


class Wrong(AssertionError):
    """What must hold does not hold."""


class Rig:
    """The service, a provider that sends what it is given, and no memory of who has failed."""

    def __init__(self, client: Client, provider: FakeProvider, breaker: Breaker) -> None:
        self.client, self.provider, self.breaker = client, provider, breaker

    def take(self, door: str, script: Sequence[Step], **choices: Any) -> None:
        """Have one turn with this script by one door, and look at what came of it.

        Raises:
            Wrong: something does not hold.
        """
        try:
            thread = self._session() if door in {"message", "stream"} else self._thread()
            self.behave(*script, "done")
            getattr(self, f"_by_{door}")(thread, choices)
            self.behave("fine")
            self._look(door, thread)
        except httpx.TimeoutException as error:
            raise Wrong(f"no answer: {type(error).__name__}") from error
        except httpx.TransportError as error:
            raise Wrong(f"the connection broke: {error!r}") from error

    def behave(self, *script: Step) -> None:
        self.provider.script(MODEL, *script)
        self.provider.requests.clear()
        self.breaker._records.clear()  # each example meets one that is well

    def _by_message(self, thread: str, choices: dict[str, Any]) -> None:
        body = {"message": "hi", "session_id": thread, **choices}
        _checked(self.client.post("/api/chat/message", json=body))

    def _by_stream(self, thread: str, choices: dict[str, Any]) -> None:
        body = {"message": "hi", "session_id": thread, **choices}
        events = self._streamed("/api/chat/message/stream", body)
        if events[-1][0] not in {"done", "error"}:
            raise Wrong(f"the stream ends with {events[-1]}")

    def _by_invoke(self, thread: str, choices: dict[str, Any]) -> None:
        body = {"input": _TURN, "context": choices, "thread_id": thread}
        _checked(self.client.post("/invoke", json=body))

    def _by_runs(self, thread: str, choices: dict[str, Any]) -> None:
        body = {"assistant_id": "agent", "input": _TURN, "stream_mode": STREAM_MODES}
        self._streamed(f"/threads/{thread}/runs/stream", {**body, "context": choices})

    def _session(self) -> str:
        session = self.client.post("/api/chat/session", json={})
        return str(_checked(session)["session_id"])

    def _thread(self) -> str:
        return str(_checked(self.client.post("/threads", json={}))["thread_id"])

    def _streamed(self, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
        with self.client.stream("POST", path, json=body) as response:
            if response.status_code != 200:
                response.read()
                _checked(response)
                return [("error", None)]
            events = list(_events(response))
        for name, data in events:
            if name == "error":
                _check_error(data)
        return events

    def _look(self, door: str, thread: str) -> None:
        """Have a next turn, and read all that is kept of the thread."""
        if door in {"message", "stream"}:
            body: dict[str, Any] = {"message": "and now", "session_id": thread}
            said = _fine(self.client.post("/api/chat/message", json=body))["response"]
            shown = [f"/api/chat/session/{thread}", f"/api/chat/history/{thread}"]
        else:
            body = {"assistant_id": "agent", "input": _TURN}
            values = _fine(self.client.post(f"/threads/{thread}/runs/wait", json=body))
            said = values["messages"][-1]["content"]
            shown = [f"/threads/{thread}{part}" for part in ("", "/state", "/runs", "/history")]
        if said != "fine":
            raise Wrong(f"the next turn is answered: {str(said)[:300]}; {self._refused()}")
        for path in shown:
            _fine(self.client.get(path))

    def _refused(self) -> str:
        return "; ".join(request.refused for request in self.provider.requests)


@contextmanager
def rig(data_dir: Path, **settings: Any) -> Iterator[Rig]:
    """Start the service and its provider."""
    breaker = Breaker()
    with (
        FakeProvider() as provider,
        patch("everturn.graph.models.provider.Breaker", lambda _: breaker),
        serving(
            data_dir,
            base_url=provider.url,
            openai_api_key=KEY,
            models=MODEL,
            **{**LIMITS, **settings},
        ) as client,
    ):
        client.timeout = httpx.Timeout(HANGS)
        yield Rig(client, provider, breaker)


def _fine(response: httpx.Response) -> Any:
    if response.status_code != 200:
        _fail("the thread is broken", response)
    return _json(response)


def _checked(response: httpx.Response) -> Any:
    """Return what an answer holds, if it is documented."""
    said = _json(response)
    if response.is_success:
        route = said.get("route") if isinstance(said, dict) else None
        if route and any(KEY in attempt["message"] for attempt in route["tried"]):
            _fail("the key is shown", response)
        return said
    if response.headers["content-type"] != "application/problem+json":
        _fail("no problem", response)
    _check_error(said)
    return said


def _check_error(problem: Any) -> None:
    kind = (problem.get("status"), problem.get("type"))
    if kind not in DOCUMENTED and "error" not in problem:
        raise Wrong(f"not documented: {problem}")
    if kind[0] == 500 or "InternalError" in str(problem):
        raise Wrong(f"a bug: {problem}")
    text = json.dumps(problem)
    if KEY in text or "<html" in text:
        raise Wrong(f"shown in an error: {problem}")


def _events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = "message"
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, _strict(line.removeprefix("data: "))


def _json(response: httpx.Response) -> Any:
    try:
        return _strict(response.text)
    except ValueError as error:
        _fail(f"not JSON: {error}", response)


def _strict(text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()  # no half of a character either
    return found


def _fail(why: str, response: httpx.Response) -> NoReturn:
    raise Wrong(f"{why}: {response.status_code} {response.request.url.path} {response.text[:500]}")
