"""Whoever folds a stream of the service and obeys its resets has what the thread remembers."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, ToolCall
from tests.provider.script import FaultName
from tests.service import Client, Event, serving

pytestmark = pytest.mark.slow

_STATUSES = (400, 404, 408, 429, 500, 529)
_CALLS = [ToolCall("calculator", {"expression": "17 * 3"}), ToolCall("calculator", {"x": 1})]
_NAMES = 600

replies = st.builds(
    Reply,
    text=st.text("ab é한\n", max_size=30),
    tool_calls=st.lists(st.sampled_from(_CALLS), max_size=2),
)
faults = st.builds(
    Fault,
    st.sampled_from([*_STATUSES, *get_args(FaultName)]),
    after=st.integers(0, 8),
    reply=st.none() | replies,
)
scripts = st.lists(st.lists(faults | replies, min_size=1, max_size=3), min_size=2, max_size=2)
policies = st.sampled_from(["restart", "buffer"])

Said = list[tuple[str, list[tuple[str, Any]]]]
"""Texts, each with the tools it calls, by name and arguments."""


class Service:
    """A service, and models of it that no earlier example has taught the breaker anything about."""

    def __init__(self, client: Client, provider: FakeProvider) -> None:
        self.client = client
        self._provider = provider
        self._names = count()

    def scripted(self, script: list[list[Fault | Reply]]) -> list[str]:
        """Return models that do this, and end with an answer."""
        models = []
        for steps in script:
            models.append(f"m{next(self._names) % _NAMES}")
            self._provider.script(models[-1], *steps, "The end.")
        return models


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with FakeProvider() as provider:
        provider.offer(*(Offer(f"m{number}") for number in range(_NAMES)))
        data_dir = tmp_path_factory.mktemp("fold") / "data"
        deadlines = {"first_token_timeout": 0.05, "stall_timeout": 0.05}
        with serving(
            data_dir, base_url=provider.url, openai_api_key=KEY, models="m0", **deadlines
        ) as client:
            while len(client.get("/api/chat/models").json()) < _NAMES:
                pass
            yield Service(client, provider)


def _shown(events: list[Event]) -> list[str]:
    """Fold a chat stream: the texts on the screen."""
    shown: dict[str, str] = {}
    for event in events:
        if event.name == "message":
            before = shown.get(event.data["message_id"], "")
            shown[event.data["message_id"]] = before + event.data["content"]
        elif event.name == "reset":
            assert len(shown.pop(event.data["message_id"], "")) == event.data["chars"]
    return list(shown.values())


def _folded(events: list[Event]) -> Said:
    """Fold LangGraph's stream modes `messages` and `custom`."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.name == "messages" and event.data[0]["type"].lower().startswith("ai"):
            shown.setdefault(event.data[0]["id"], []).append(event.data[0])
        elif event.name == "custom" and event.data["type"] == "reset":
            pieces = shown.pop(event.data["message_id"])
            assert sum(len(piece["content"]) for piece in pieces) == event.data["chars"]
    said = [
        ("".join(piece["content"] for piece in pieces), _calls(pieces)) for pieces in shown.values()
    ]
    return [(text, calls) for text, calls in said if text or calls]


def _calls(pieces: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    if pieces[0]["type"] == "ai":  # shown whole
        return [(call["name"], call["args"]) for call in pieces[0]["tool_calls"]]
    calls: dict[int, list[str]] = {}
    for chunk in (chunk for piece in pieces for chunk in piece["tool_call_chunks"]):
        call = calls.setdefault(chunk["index"], ["", ""])
        call[0] += chunk["name"] or ""
        call[1] += chunk["args"] or ""
    return [(name, json.loads(args or "{}")) for name, args in calls.values()]


@settings(max_examples=50)
@given(script=scripts, policy=policies)
def test_a_chat_stream_is_what_the_session_remembers(
    service: Service, script: list[list[Fault | Reply]], policy: str
) -> None:
    body = {"message": "Hello", "model": service.scripted(script), "stream_policy": policy}
    events = service.client.events("/api/chat/message/stream", body)
    session = events[0].data["session_id"]
    messages = service.client.get(f"/api/chat/session/{session}").json()["messages"]
    remembered = [message for message in messages if message["role"] == "assistant"]
    assert _shown(events) == [each["content"] for each in remembered if each["content"]]
    started = [e.data["id"] for e in events if e.name == "tool" and e.data["status"] == "started"]
    assert started == [call["id"] for each in remembered for call in each["tool_calls"]]
    assert [event.name for event in events].count("done") == (events[-1].name == "done")
    if events[-1].name == "error":  # two models refused it: then it was never asked
        assert events[-1].data["type"] == "request-refused"
        assert bool(messages) == bool(remembered)


@settings(max_examples=50)
@given(script=scripts, policy=policies)
def test_a_stream_of_any_graph_is_its_final_state(
    service: Service, script: list[list[Fault | Reply]], policy: str
) -> None:
    context = {"model": service.scripted(script), "stream_policy": policy}
    asked = {"thread_id": str(uuid4()), "input": {"messages": "Hello"}, "context": context}
    modes = {"stream_mode": ["messages", "custom", "values"]}
    events = service.client.events("/stream", {**asked, **modes})
    (final,) = [event.data["messages"] for event in events if event.name == "values"][-1:]
    assert _folded(events) == [
        (each["content"], [(call["name"], call["args"]) for call in each["tool_calls"]])
        for each in final
        if each["type"] == "ai"
    ]
