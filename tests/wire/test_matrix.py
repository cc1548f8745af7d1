"""Every provider × every way to be asked, through the service: what the provider refuses is not
sent twice, what it says is read, and what it wants back comes back.

A provider that is asked wrongly refuses as the real one does, so that most of what is tested here
stands in `tests/provider/profiles`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk import get_sync_client

from tests.provider import KEY, FakeProvider, Reply, Request, ToolCall
from tests.provider.profiles import NAMES
from tests.service import Client, serving
from tests.wire import published

pytestmark = pytest.mark.slow

TEXT = "Grüße 😀 an alle, 둘 셋.\n\n  - Ende "
THOUGHTS = "Erst denke ich. 🤔 Dann rede ich."
PRODUCT = ToolCall("calculator", {"expression": "6 * 7"})
SUM = ToolCall("calculator", {"expression": "2 + 3"})
TIME = ToolCall("current_time", {"zone": "UTC"})
MODEL = "acme/model-1:free"


class Wire:
    """A service, and the one provider that it asks."""

    def __init__(self, client: Client, provider: FakeProvider) -> None:
        self.client, self.provider = client, provider
        self.thoughts = THOUGHTS if provider.profile.reasons else ""

    def script(self, *steps: Any) -> None:
        self.provider.script(MODEL, *steps)
        self.provider.requests.clear()

    @property
    def served(self) -> list[Request]:
        """The requests that were answered; each must be of the published type."""
        for request in self.provider.requests:
            published.check(request.body)
        return [request for request in self.provider.requests if request.served]

    def ask(self, text: str, session: str | None = None) -> dict[str, Any]:
        answer = self.client.ask(text, session)
        assert (answer["route"]["mode"], answer["route"]["tried"]) == ("primary", [])
        return answer


@pytest.fixture(scope="module", params=NAMES)
def wire(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wire]:
    data_dir = tmp_path_factory.mktemp(request.param) / "data"
    with FakeProvider(profile=request.param) as provider:
        settings = {"base_url": provider.url, "openai_api_key": KEY, "models": MODEL}
        with serving(data_dir, **settings, approve_tools=["current_time"]) as client:
            yield Wire(client, provider)
        assert provider.keyless == []


def calls(*wanted: ToolCall) -> Reply:
    return Reply(tool_calls=wanted, reasoning=THOUGHTS)


def say_results(request: Request) -> Reply:
    """Answer with what the tools of the turn said."""
    roles = [message["role"] for message in request.messages]
    last = len(roles) - roles[::-1].index("user")
    results = [m["content"] for m in request.messages[last:] if m["role"] == "tool"]
    return Reply(" | ".join(results) or "no results", reasoning=THOUGHTS)


def test_a_message(wire: Wire) -> None:
    wire.script(Reply(TEXT, reasoning=THOUGHTS))
    first = wire.ask("Hallo")
    again = wire.ask("Und noch einmal", first["session_id"])
    assert first["response"] == again["response"] == TEXT
    assert first["usage"]["total_tokens"] > len(TEXT) // 4
    said = [message["role"] for message in wire.served[-1].messages if message["role"] != "system"]
    assert said == ["user", "assistant", "user"]
    for request in wire.served:
        limits = [request.body.get(name) for name in ("max_tokens", "max_completion_tokens")]
        assert sorted(limits, key=bool) == [None, 1000]
        unsteered = wire.provider.profile.name in {"openai_reasoning", "litellm"}
        assert request.body.get("temperature") == (None if unsteered else 0.7)


def test_a_message_that_is_streamed(wire: Wire) -> None:
    wire.script(Reply(TEXT, reasoning=THOUGHTS))
    events = wire.client.events("/api/chat/message/stream", {"message": "Hallo"})

    def said(name: str) -> str:
        return "".join(event.data["content"] for event in events if event.name == name)

    assert said("message") == TEXT
    assert said("reasoning") == wire.thoughts
    done = events[-1]
    assert done.name == "done"
    assert (done.data["route"]["mode"], done.data["route"]["tried"]) == ("primary", [])
    assert done.data["usage"]["total_tokens"] > len(TEXT) // 4
    ids = {event.data["message_id"] for event in events if event.name in {"message", "reasoning"}}
    assert len(ids) == 1


def test_a_tool_and_another_turn(wire: Wire) -> None:
    wire.script(calls(PRODUCT), calls(SUM), say_results, calls(PRODUCT), say_results)
    first = wire.ask("6 * 7? 2 + 3?")
    assert first["tools_used"] == ["calculator"]
    assert first["response"].count("success") == 2
    assert "42" in first["response"]
    again = wire.ask("And 6 * 7 again?", first["session_id"])
    assert "42" in again["response"]
    assert len(wire.served) == 5


def test_tools_side_by_side(wire: Wire) -> None:
    wire.script(calls(PRODUCT, SUM), say_results)
    answer = wire.ask("6 * 7, and 2 + 3?")
    product, total = answer["response"].split(" | ")
    assert ("42" in product, "5" in total) == (True, True)
    (message,) = [m for m in wire.served[-1].messages if m.get("tool_calls")]
    assert len({call["id"] for call in message["tool_calls"]}) == 2


def test_a_call_that_is_approved(wire: Wire) -> None:
    wire.script(calls(TIME, PRODUCT), say_results)
    waits = wire.client.ask("What time is it?")
    (call,) = waits["calls"]
    assert call["name"] == "current_time"
    path = f"/api/chat/session/{waits['session_id']}/resume"
    events = wire.client.events(
        f"{path}/stream", {"decisions": [{"id": call["id"], "type": "approve"}]}
    )
    said = "".join(event.data["content"] for event in events if event.name == "message")
    assert "UTC" in said
    assert "42" in said
    assert events[-1].data["route"]["mode"] == "primary"
    assert len(wire.served) == 2


def test_a_call_that_is_given_up_for_another_message(wire: Wire) -> None:
    wire.script(calls(TIME), Reply("As you like.", reasoning=THOUGHTS))
    waits = wire.client.ask("What time is it?")
    assert wire.ask("Never mind.", waits["session_id"])["response"] == "As you like."


def test_a_run_of_the_agent_server(wire: Wire) -> None:
    wire.script(calls(PRODUCT), say_results)
    with get_sync_client(url=str(wire.client.base_url), api_key=None) as sdk:
        thread = sdk.threads.create()["thread_id"]
        asked: Any = {"messages": [{"role": "user", "content": "6 * 7?"}]}
        done = sdk.runs.wait(thread, "agent", input=asked)
    assert isinstance(done, dict)
    _, called, _, answer = done["messages"]
    assert "42" in answer["content"]
    for message in (called, answer):
        assert message["additional_kwargs"].get("reasoning_content", "") == wire.thoughts
    chosen = {"temperature", "max_tokens", "max_completion_tokens", "stream_options", "top_p"}
    assert not chosen & wire.served[0].body.keys()


def test_messages_in_any_order(wire: Wire) -> None:
    """What a client of the Agent Server sends is for the service to put in order."""
    wire.script(Reply(TEXT))
    messages: Any = [
        {"role": "user", "content": "One."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Two."},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Three."},
    ]
    with get_sync_client(url=str(wire.client.base_url), api_key=None) as sdk:
        done = sdk.runs.wait(None, "agent", input={"messages": messages})
    assert isinstance(done, dict)
    assert done["messages"][-1]["content"] == TEXT
    system, *spoken = wire.served[-1].messages
    assert (system["role"], [message["role"] for message in spoken]) == ("system", ["user"])
    assert [word in str(spoken[0]["content"]) for word in ("One.", "Two.", "Three.")] == [True] * 3


def test_a_refusal_is_remembered(wire: Wire) -> None:
    """The first refusal may have come in any of the tests before; here none comes twice."""
    wire.script(Reply("Ja."))
    for _ in range(3):
        wire.ask("Hallo")
    refusals = Counter(request.refused for request in wire.provider.requests if request.refused)
    assert set(refusals.values()) <= {1}
