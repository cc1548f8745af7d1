"""Plans through the front door: streamed, edited, killed in the middle and gone on with."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.provider import KEY, FakeProvider, Fault, Reply, Request, ToolCall
from tests.service import Client, Process, process, serving
from tests.waiting import PATIENCE, eventually

Json = dict[str, Any]
Answer = str | Reply | Fault


def plan(*steps: Any) -> Reply:
    return Reply(tool_calls=[ToolCall("make_plan", {"steps": list(steps)})], cost=0.5)


def step(name: str, *needs: str) -> Json:
    return {"id": name, "text": f"do {name}", "depends_on": list(needs)}


class Script:
    """A planning model, and steps that are answered, or held where a test wants that."""

    def __init__(self, *plans: Answer) -> None:
        self.plans = list(plans)
        self.steps: list[tuple[str, int]] = []
        """Each that was asked for, with how many results of tools it had."""
        self.held: set[str] = set()

    def __call__(self, request: Request) -> Answer:
        if "make_plan" in request.tools:
            return self.plans.pop(0)
        task = next(m["content"] for m in request.messages if m["role"] == "user")
        name = task.removeprefix("do ")
        results = sum(m["role"] == "tool" for m in request.messages)
        self.steps.append((name, results))
        if name == "b" and not results:
            return Reply(tool_calls=[ToolCall("calculator", {"expression": "6*7"})], cost=0.25)
        if name in self.held:
            return Fault("silent")
        return Reply(f"{name} is done", cost=0.25)


@pytest.fixture
def client(data_dir: Path, fake_provider: FakeProvider) -> Iterator[Client]:
    provider = {"base_url": fake_provider.url, "models": "m", "openai_api_key": KEY}
    with serving(data_dir, **provider) as found:
        yield found


def test_a_chat_shows_the_plan_and_says_what_all_of_it_took(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Script(plan(step("a"), step("c", "a")), Reply("made it", cost=1.0)))
    body = {"message": "go", "agent": "planner"}
    events = client.events("/api/chat/message/stream", body)
    named = [(e.name, e.data.get("id"), e.data.get("status")) for e in events]
    shown = [each for each in named if each[0] in {"plan", "step"}]
    assert shown == [
        ("plan", None, None),
        ("step", "a", "running"),
        ("step", "a", "done"),
        ("step", "c", "running"),
        ("step", "c", "done"),
    ]
    assert "".join(e.data["content"] for e in events if e.name == "message") == "made it"
    done = events[-1].data
    assert events[-1].name == "done"
    assert done["cost"] == pytest.approx(2.0)
    assert done["cost"] == pytest.approx(done["route"]["cost"])
    assert done["usage"] == done["route"]["usage"]
    session = events[0].data["session_id"]
    rows = client.get(f"/api/chat/history/{session}").json()
    assert rows[0]["cost"] == pytest.approx(2.0)


def test_a_plan_that_ends_in_an_error_is_counted_too(
    client: Client, fake_provider: FakeProvider
) -> None:
    """The provider refuses the key in the second step: the run ends, and the first one counts."""

    class Refused(Script):
        def __call__(self, request: Request) -> Answer:
            answer = super().__call__(request)
            return Fault(401) if self.steps and self.steps[-1][0] == "c" else answer

    fake_provider.script("m", Refused(plan(step("a"), step("c", "a"))))
    body = {"message": "go", "agent": "planner"}
    refused = client.post("/api/chat/message", json=body)
    assert refused.json()["type"].endswith("invalid-api-key")
    (cost,) = [
        float(line.split()[-1])
        for line in client.get("/metrics").text.splitlines()
        if line.startswith('model_cost_dollars_total{model="m"}')
    ]
    assert cost == pytest.approx(0.5 + 0.25)


def test_the_offline_model_plans_a_list(data_dir: Path) -> None:
    with serving(data_dir) as client:
        asked = "Compute 3*4, then the weather in Seoul, and search for cats."
        answer = client.ask(asked, agent="planner")
        korean = client.ask(
            "3*4를 계산하고 서울 날씨 알려줘, 그리고 고양이를 검색해줘", agent="planner"
        )
        many = ". ".join(f"Compute {n}+1" for n in range(1, 15))
        long = client.ask(many, agent="planner")
    assert answer["route"]["mode"] == "offline"
    assert "by fixed rules, one step for each request: 3" in answer["response"]
    for part in ("3 * 4 = 12", "Weather in Seoul", "Results for “cats”"):
        assert part in answer["response"]
    assert "12. 12 + 1 = 13" in long["response"]
    assert "I did the first 12 of your requests" in long["response"]
    for part in ("단계 수: 3", "3 * 4 = 12", "서울 날씨", "“고양이” 검색 결과"):
        assert part in korean["response"]


async def test_a_plan_is_edited_through_the_sdk(
    client: Client, fake_provider: FakeProvider
) -> None:
    script = Script(plan(step("a"), step("c")), "done")
    fake_provider.script("m", script)
    async with get_client(url=str(client.base_url)) as sdk:
        await _edits(sdk, script)


async def _edits(sdk: LangGraphClient, script: Script) -> None:
    thread = (await sdk.threads.create())["thread_id"]
    choices: Any = {"review_plan": True}
    turn: Any = {"messages": [{"role": "user", "content": "go"}]}
    state: Any = await sdk.runs.wait(thread, "planner", input=turn, context=choices)
    (interrupt,) = state["__interrupt__"]
    (request,) = interrupt["value"]["action_requests"]
    assert [each["id"] for each in request["args"]["steps"]] == ["a", "c"]
    circle = {"steps": [step("x", "y"), step("y", "x")]}
    edit = {"type": "edit", "edited_action": {"name": "make_plan", "args": circle}}
    answer: Any = {"resume": {"decisions": [edit]}}
    run = await sdk.runs.create(thread, "planner", command=answer, context=choices)
    await sdk.runs.join(thread, run["run_id"])
    assert (await sdk.runs.get(thread, run["run_id"]))["status"] == "error", "it still waits"
    edit["edited_action"] = {"name": "make_plan", "args": {"steps": [step("better")]}}
    state = await sdk.runs.wait(thread, "planner", command=answer, context=choices)
    assert [(s["id"], s["status"]) for s in state["steps"]] == [("better", "done")]
    assert script.steps == [("better", 0)]


def test_an_assistant_may_have_its_plans_reviewed(
    client: Client, fake_provider: FakeProvider
) -> None:
    script = Script(plan(step("a")), "done")
    fake_provider.script("m", script)
    made = client.post(
        "/assistants", json={"graph_id": "planner", "context": {"review_plan": True}}
    ).json()
    thread = client.post("/threads", json={}).json()["thread_id"]
    turn = {"messages": [{"role": "user", "content": "go"}]}
    body = {"assistant_id": made["assistant_id"], "input": turn}
    state = client.post(f"/threads/{thread}/runs/wait", json=body).json()
    assert state["__interrupt__"]
    decided = {"resume": {"decisions": [{"type": "approve"}]}}
    body = {"assistant_id": made["assistant_id"], "command": decided}
    state = client.post(f"/threads/{thread}/runs/wait", json=body).json()
    assert [s["status"] for s in state["steps"]] == ["done"]


def test_tools_of_two_steps_wait_for_a_person_each(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    def model(request: Request) -> Answer:
        last = request.messages[-1]
        if "make_plan" in request.tools:
            return plan(step("1+1"), step("2+2")) if last["role"] == "user" else "both"
        if last["role"] == "user":
            expression = last["content"].removeprefix("do ")
            return Reply(tool_calls=[ToolCall("calculator", {"expression": expression})])
        return str(json.loads(last["content"])["result"])

    fake_provider.script("m", model)
    provider = {"base_url": fake_provider.url, "models": "m", "openai_api_key": KEY}
    with serving(data_dir, **provider, approve_tools="calculator") as client:
        waits = client.ask("go", agent="planner")
        session = waits["session_id"]
        for _ in range(2):
            assert waits["status"] == "approval_required"
            assert [call["name"] for call in waits["calls"]] == ["calculator"]
            (call,) = waits["calls"]
            body = {"decisions": [{"id": call["id"], "type": "approve"}]}
            answer = client.post(f"/api/chat/session/{session}/resume", json=body)
            assert answer.status_code == 200, answer.text
            waits = answer.json()
    assert waits["response"] == "both"


def test_a_budget_of_tool_calls_counts_those_of_all_steps(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    def model(request: Request) -> Answer:
        last = request.messages[-1]
        if "make_plan" in request.tools:
            first, second = step("1+1"), step("2+2", "1+1")
            return plan(first, second) if last["role"] == "user" else "done"
        if last["role"] == "user":
            expression = last["content"].removeprefix("do ")
            return Reply(tool_calls=[ToolCall("calculator", {"expression": expression})])
        return "so it is"

    fake_provider.script("m", model)
    provider = {"base_url": fake_provider.url, "models": "m", "openai_api_key": KEY}
    body = {"message": "go", "agent": "planner"}
    with serving(data_dir, **provider, max_tool_calls=3) as client:
        assert client.post("/api/chat/message", json=body).status_code == 200
    with serving(data_dir, **provider, max_tool_calls=2) as client:
        refused = client.post("/api/chat/message", json=body)
    assert refused.json()["type"].endswith("budget-exceeded"), refused.text


def test_specialists_and_tools_that_there_are_not_are_refused(client: Client) -> None:
    for context in ({"specialists": ["nobody"]}, {"own_tools": ["nothing"]}):
        turn = {"messages": [{"role": "user", "content": "go"}]}
        body = {"assistant_id": "team", "input": turn, "context": context}
        refused = client.post("/runs/wait", json=body).json()
        assert refused["__error__"]["error"] == "UnknownTool"


Start = Callable[[], AbstractContextManager[Process]]


@pytest.fixture
def start(data_dir: Path, fake_provider: FakeProvider) -> Start:
    def run() -> AbstractContextManager[Process]:
        return process(
            data_dir,
            EVERTURN_BASE_URL=fake_provider.url,
            OPENAI_API_KEY=KEY,
            EVERTURN_MODELS="m",
        )

    return run


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    """Closes clients at the end."""
    async with AsyncExitStack() as stack:
        yield stack


async def has_stored(sdk: LangGraphClient, thread: str, result: str) -> bool:
    """Whether a task of the step that goes on has stored its result."""
    state: Any = await sdk.threads.get_state(thread)
    return any(result in json.dumps(task.get("result")) for task in state["tasks"])


@pytest.mark.clock
async def test_a_plan_that_is_killed_goes_on_in_the_middle(
    start: Start, fake_provider: FakeProvider, opened: AsyncExitStack
) -> None:
    script = Script(plan(step("a"), step("b"), step("c", "a", "b")), Reply("made it", cost=1.0))
    script.held = {"b"}
    fake_provider.script("m", script)
    turn: Any = {"messages": [{"role": "user", "content": "go"}]}
    with start() as first:
        sdk = await opened.enter_async_context(get_client(url=first.url()))
        thread = (await sdk.threads.create())["thread_id"]
        run = await sdk.runs.create(thread, "planner", input=turn)
        await eventually(lambda: ("b", 1) in script.steps)
        await eventually(lambda: has_stored(sdk, thread, "a is done"))
        before: Any = await sdk.threads.get_state(thread)
        first.kill()
    assert {s["id"]: s["status"] for s in before["values"]["steps"]}["c"] == "pending"
    script.held = set()
    with start() as second:
        sdk = await opened.enter_async_context(get_client(url=second.url()))
        await asyncio.wait_for(sdk.runs.join(thread, run["run_id"]), PATIENCE)
        assert (await sdk.runs.get(thread, run["run_id"]))["status"] == "success"
        state: Any = await sdk.threads.get_state(thread)
    steps = {s["id"]: (s["status"], s["result"]) for s in state["values"]["steps"]}
    assert steps == {name: ("done", f"{name} is done") for name in "abc"}
    # What was finished is not done again, and of what was not only the call that was under way.
    assert sorted(script.steps) == [("a", 0), ("b", 0), ("b", 1), ("b", 1), ("c", 0)]
    *_, told, answer = state["values"]["messages"]
    assert len(told["response_metadata"]["calls"]) == 4, "what the first process took counts"
    assert answer["response_metadata"]["route"]["cost"] == pytest.approx(0.5 + 4 * 0.25 + 1.0)


def test_a_schema_is_for_the_answer_and_not_for_the_steps(
    client: Client, fake_provider: FakeProvider
) -> None:
    script = Script(plan(step("a"), step("c", "a")), '{"city": "Seoul"}')
    fake_provider.script("m", script)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    answer = client.ask("Find out", agent="planner", response_schema=schema)
    assert answer["parsed"] == {"city": "Seoul"}
    asked = ["response_format" in request.body for request in fake_provider.requests]
    assert asked == [True, False, False, True]
