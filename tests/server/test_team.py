"""The team through the front door: offline, killed at work, in circles, and across servers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.a2a_agent import Agent, serving_agent
from tests.provider import KEY, FakeProvider, Fault, Reply, Request, ToolCall
from tests.service import Client, Process, process, serving
from tests.waiting import PATIENCE, eventually

Json = dict[str, Any]
Answer = str | Reply | Fault
TURN: Any = {"messages": [{"role": "user", "content": "go"}]}


def ask(cost: float | None = None, **tasks: str) -> Reply:
    calls = [ToolCall(name, {"task": task}) for name, task in tasks.items()]
    return Reply(tool_calls=calls, cost=cost)


class Script:
    """A supervisor that asks once and then answers, and specialists, some of them held."""

    def __init__(self, first: Reply, **specialists: Answer) -> None:
        self.first, self.specialists = first, specialists
        self.asked: list[str] = []
        self.results: list[str] = []
        self.held: set[str] = set()

    def __call__(self, request: Request) -> Answer:
        system, last = request.messages[0]["content"], request.messages[-1]
        if not system.startswith("You are the "):
            if last["role"] == "user":
                return self.first
            self.results = [m["content"] for m in request.messages if m["role"] == "tool"]
            return Reply("all is said", cost=1.0)
        name = system.split()[3]
        self.asked.append(name)
        if name in self.held:
            return Fault("silent")
        return self.specialists.get(name, Reply(f"{name} says so", cost=0.25))


Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def start(data_dir: Path, fake_provider: FakeProvider) -> Start:
    def run(*specialists: Json, **more: str) -> AbstractContextManager[Process]:
        settings = {
            "EVERTURN_BASE_URL": fake_provider.url,
            "OPENAI_API_KEY": KEY,
            "EVERTURN_MODELS": "m",
            "EVERTURN_SPECIALISTS": json.dumps(specialists),
        }
        return process(data_dir, **{**settings, **more})

    return run


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes clients at the end."""
    async with AsyncExitStack() as stack:
        yield stack


def test_the_offline_team_hands_each_thing_to_its_specialist(data_dir: Path) -> None:
    with serving(data_dir) as client:
        answer = client.ask("What is 15% of 80, and the weather in Busan?", agent="team")
        korean = client.ask("부산 날씨 알려줘, 그리고 고양이를 검색해줘", agent="team")
        events = client.events(
            "/api/chat/message/stream", {"message": "Calculate 2 + 2", "agent": "team"}
        )
    assert answer["route"]["mode"] == "offline"
    assert answer["tools_used"] == ["mathematician", "forecaster"]
    assert "mathematician: 15 * 80 / 100 = 12" in answer["response"]
    assert "forecaster: Weather in Busan" in answer["response"]
    assert korean["tools_used"] == ["forecaster", "researcher"]
    tools = [(e.data["name"], e.data["status"]) for e in events if e.name == "tool"]
    assert tools == [("mathematician", "started"), ("mathematician", "success")]


def test_a_chat_says_what_all_of_the_team_took(data_dir: Path, fake_provider: FakeProvider) -> None:
    script = Script(ask(cost=0.5, mathematician="1", forecaster="2", researcher="3"))
    fake_provider.script("m", script)
    provider = {"base_url": fake_provider.url, "models": "m", "openai_api_key": KEY}
    with serving(data_dir, **provider) as client:
        answer = client.ask("go", agent="team")
    assert answer["cost"] == pytest.approx(0.5 + 3 * 0.25 + 1.0)
    assert answer["route"]["cost"] == pytest.approx(answer["cost"])
    assert answer["usage"] == answer["route"]["usage"]


@pytest.mark.clock
async def test_a_team_that_is_killed_at_work_goes_on(
    start: Start, fake_provider: FakeProvider, opened: AsyncExitStack
) -> None:
    script = Script(ask(cost=0.5, mathematician="1", forecaster="2"))
    script.held = {"forecaster"}
    fake_provider.script("m", script)

    async def has_stored(sdk: LangGraphClient) -> bool:
        state: Any = await sdk.threads.get_state(thread)
        return any("mathematician says so" in json.dumps(t.get("result")) for t in state["tasks"])

    with start() as first:
        sdk = await opened.enter_async_context(get_client(url=first.url()))
        thread = (await sdk.threads.create())["thread_id"]
        run = await sdk.runs.create(thread, "team", input=TURN)
        await eventually(lambda: "forecaster" in script.asked)
        await eventually(lambda: has_stored(sdk))
        first.kill()
    script.held = set()
    with start() as second:
        sdk = await opened.enter_async_context(get_client(url=second.url()))
        await asyncio.wait_for(sdk.runs.join(thread, run["run_id"]), PATIENCE)
        state: Any = await sdk.threads.get_state(thread)
    assert sorted(script.asked) == ["forecaster", "forecaster", "mathematician"]
    assert sorted(script.results) == ["forecaster says so", "mathematician says so"]
    answer = state["values"]["messages"][-1]
    assert answer["content"] == "all is said"
    assert answer["response_metadata"]["route"]["cost"] == pytest.approx(0.5 + 2 * 0.25 + 1.0)


def agent(name: str, *colleagues: str) -> Json:
    return {"name": name, "purpose": f"{name} knows", "colleagues": list(colleagues)}


@pytest.mark.parametrize(("depth", "asked"), [(1, 1), (2, 2), (4, 4)])
def test_specialists_that_ask_each_other_come_to_an_end(
    start: Start, fake_provider: FakeProvider, depth: int, asked: int
) -> None:
    """Each asks the other one as long as it may."""
    speakers: list[str] = []

    def always(request: Request) -> Answer:
        system, last = request.messages[0]["content"], request.messages[-1]
        speaker = system.split()[3] if system.startswith("You are the ") else "supervisor"
        if last["role"] == "tool" or not request.tools:
            return f"{speaker} gives up"
        speakers.append(speaker)
        other = next(n for n in ("ping", "pong") if n in request.tools)
        return ask(None, **{other: "you do it"})

    fake_provider.script("m", always)
    with start(agent("ping", "pong"), agent("pong", "ping")) as running, Client(running.url()) as c:
        context = {"max_depth": depth, "specialists": ["ping"]}
        body = {"assistant_id": "team", "input": TURN, "context": context}
        state = c.post("/runs/wait", json=body).json()
    assert state["messages"][-1]["content"] == "supervisor gives up"
    assert len(speakers) == asked
    told = next(m for m in state["messages"] if m["type"] == "tool")
    assert told["response_metadata"]["asked"] == asked
    assert fake_provider.calls() == 2 * asked + 1


def test_a_schema_is_for_the_answer_and_not_for_who_leads_a_team_below(
    start: Start, fake_provider: FakeProvider
) -> None:
    def always(request: Request) -> Answer:
        if request.messages[0]["content"].startswith("You are the "):
            return "it is Seoul"
        last = request.messages[-1]["role"]
        return '{"city": "Seoul"}' if last == "tool" else ask(None, chief="go")

    fake_provider.script("m", always)
    schema = {"type": "object", "required": ["city"]}
    with start(agent("chief", "researcher")) as running, Client(running.url()) as client:
        answer = client.ask("Where?", agent="team", response_schema=schema)
    assert answer["parsed"] == {"city": "Seoul"}
    asked = ["JSON Schema" in request.messages[0]["content"] for request in fake_provider.requests]
    assert asked == [True, False, True]


def test_their_calls_are_bounded_together(start: Start, fake_provider: FakeProvider) -> None:
    """Each asks both others at once, three levels deep: that would be 39 calls."""
    names = ("one", "two", "three")

    def always(request: Request) -> Answer:
        if request.messages[-1]["role"] == "tool" or not request.tools:
            return "enough"
        return ask(None, **dict.fromkeys(names, "again"))

    fake_provider.script("m", always)
    with start(*(agent(n, *names) for n in names)) as running, Client(running.url()) as client:
        context = {"max_depth": 3, "max_calls": 9, "specialists": list(names)}
        body = {"assistant_id": "team", "input": TURN, "context": context}
        state = client.post("/runs/wait", json=body).json()
    asked = sum(
        m["response_metadata"].get("asked", 0) for m in state["messages"] if m["type"] == "tool"
    )
    assert 3 < asked <= 9


def elsewhere(name: str, url: str, kind: str = "langgraph", **more: Any) -> Json:
    return {"name": name, "purpose": "lives elsewhere", "kind": kind, "url": url, **more}


def test_a_specialist_of_another_server_is_asked_and_may_be_away(
    start: Start, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    script = Script(ask(far="Compute 3*4"))
    fake_provider.script("m", script)
    (tmp_path / "far").mkdir()
    with process(tmp_path / "far" / "data") as other:
        far = elsewhere("far", other.url(), graph="agent")
        with start(far) as running, Client(running.url()) as client:
            here = client.ask("go", agent="team")
            results = script.results
            other.kill()
            away = client.ask("go", agent="team")
    assert here["response"] == "all is said"
    assert results == ["3 * 4 = 12"]
    assert here["tools_used"] == ["far"]
    assert away["response"] == "all is said"
    assert script.results == ["tool_error: far could not be reached"]
    assert away["tools_used"] == []


def test_what_another_server_cannot_do_is_told(
    start: Start, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    """There a person must approve the call, and its one other graph is not there."""
    script = Script(ask(far="Compute 3*4", lost="Compute 3*4"))
    fake_provider.script("m", script)
    (tmp_path / "far").mkdir()
    with process(tmp_path / "far" / "data", EVERTURN_APPROVE_TOOLS="calculator") as other:
        several = elsewhere("far", other.url()), elsewhere("lost", other.url_found, graph="gone")
        with start(*several) as running, Client(running.url()) as client:
            answer = client.ask("go", agent="team")
    assert answer["response"] == "all is said"
    assert script.results[0] == "tool_error: far waits for a person"
    assert script.results[1].startswith("tool_error: lost ")


def test_what_another_server_took_is_counted_and_named(
    start: Start, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    """Both servers have the same provider; the other one's model has a name of its own."""
    fake_provider.script("m", Script(ask(cost=0.5, far="say it")))
    fake_provider.script("far-model", Reply("said", cost=0.25))
    settings = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "far-model",
    }
    (tmp_path / "far").mkdir()
    with process(tmp_path / "far" / "data", **settings) as other:
        far = elsewhere("far", other.url(), graph="chat")
        with start(far) as running, Client(running.url()) as client:
            body = {"assistant_id": "team", "input": TURN}
            state = client.post("/runs/wait", json=body).json()
    told = next(m for m in state["messages"] if m["type"] == "tool")
    (call,) = told["response_metadata"]["calls"]
    assert (call["model"], call["cost"]) == ("far-model", 0.25)
    route = state["messages"][-1]["response_metadata"]["route"]
    assert route["cost"] == pytest.approx(0.5 + 0.25 + 1.0)


def test_servers_that_ask_each_other_come_to_an_end(
    start: Start, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    def always(request: Request) -> Answer:
        if request.messages[-1]["role"] == "tool" or "far" not in request.tools:
            return "enough"
        return ask(far="you do it")

    fake_provider.script("m", always)
    ports = _free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    settings = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "m",
    }
    with ExitStack() as stack:
        for number, port in enumerate(ports):
            (tmp_path / str(number)).mkdir()
            far = elsewhere("far", urls[1 - number], graph="team")
            each = {**settings, "EVERTURN_SPECIALISTS": json.dumps([far])}
            folder = tmp_path / str(number) / "data"
            stack.enter_context(process(folder, "--port", str(port), **each)).url()
        with Client(urls[0]) as client:
            body = {"assistant_id": "team", "input": TURN}
            state = client.post("/runs/wait", json=body).json()
    assert state["messages"][-1]["content"] == "enough"
    # The first one's supervisor, the second one's, and the first one's again, who may ask nobody.
    assert fake_provider.calls() == 2 + 2 + 1


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        several = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [int(each.getsockname()[1]) for each in several]


def test_an_a2a_agent_is_a_specialist(start: Start, fake_provider: FakeProvider) -> None:
    script = Script(ask(far="what is it?"))
    fake_provider.script("m", script)
    with (
        serving_agent(Agent(version="1.0", looks=1, answer="It is 42.", key="k")) as other,
        start(elsewhere("far", other.url, "a2a", headers={"Authorization": "Bearer k"})) as running,
        Client(running.url()) as client,
    ):
        answer = client.ask("go", agent="team")
    assert answer["response"] == "all is said"
    assert script.results == ["It is 42."]
    assert other.flaws == []


def test_what_comes_from_elsewhere_is_screened(start: Start, fake_provider: FakeProvider) -> None:
    script = Script(ask(far="who is it?"))
    fake_provider.script("m", script)
    with (
        serving_agent(Agent(answer="Write to bob@example.com.")) as other,
        start(elsewhere("far", other.url, "a2a"), EVERTURN_GUARDS="pii:redact") as running,
        Client(running.url()) as client,
    ):
        client.ask("go", agent="team")
    (result,) = script.results
    assert "bob@example.com" not in result
    assert result.startswith("Write to ")


def test_wrong_specialists_end_the_start(start: Start) -> None:
    with start({"name": "far", "kind": "a2a"}) as running:
        assert running.ended() != 0
        assert "EVERTURN_SPECIALISTS" in "".join(running.log)
    with start(agent("ping", "nobody")) as running:
        assert running.ended() != 0
        assert "there is no such specialist" in "".join(running.log)
