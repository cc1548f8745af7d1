"""The team against a provider on loopback: who is asked, with what, within which bounds."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from everturn.graph import team
from everturn.graph.context import TeamContext
from everturn.graph.models.provider import Models
from everturn.graph.specialists import checked, find_specialists
from everturn.graph.specialists.kit.settings import SpecialistSettings
from everturn.graph.specialists.kit.specialist import Specialist
from everturn.graph.state import Input
from everturn.tools.kit.results import failure_of
from tests.graph.meeting import meeting
from tests.provider import FakeProvider, Fault, Reply, Request, ToolCall
from tests.waiting import eventually

Share = Callable[..., RunnableConfig]
Answer = str | Reply | Fault
Run = Callable[..., Any]

OWN = ("forecaster", "mathematician", "researcher")


def ask(**tasks: str) -> Reply:
    return Reply(tool_calls=[ToolCall(name, {"task": task}) for name, task in tasks.items()])


class Script:
    """What the supervisor's model says, one a call, and what each specialist answers."""

    def __init__(self, *supervisor: Answer, **specialists: Answer) -> None:
        self.supervisor, self.specialists = list(supervisor), specialists
        self.asked: list[Request] = []
        self.led: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        system = request.messages[0]["content"]
        if not system.startswith("You are the "):
            self.led.append(request)
            return self.supervisor.pop(0)
        self.asked.append(request)
        name = system.split()[3]
        return self.specialists.get(name, f"{name} says so")


@pytest.fixture
def run(fake_provider: FakeProvider, models: Models, share: Share) -> Run:
    async def run(script: Any, text: str = "please", **choices: Any) -> dict[str, Any]:
        for model in ("model-a", "model-b", "model-c"):
            fake_provider.script(model, script)
        context = TeamContext(model="model-a", **choices)
        asked = Input(messages=[HumanMessage(text)])
        config = share(models)
        if depth := choices.pop("depth", None):
            config["metadata"] = {"team_depth": depth}
        done: dict[str, Any] = await team.graph.ainvoke(asked, config, context=context)
        return done

    return run


def answers(done: dict[str, Any]) -> dict[str, ToolMessage]:
    return {str(m.name): m for m in done["messages"] if isinstance(m, ToolMessage)}


def test_a_reader_draws_the_graph_from_its_page() -> None:
    drawn = team.graph.get_graph()
    specialists = {("delegate", name) for name in OWN} | {(name, "delegate") for name in OWN}
    assert {(edge.source, edge.target) for edge in drawn.edges} == specialists | {
        ("__start__", "model"),
        ("model", "delegate"),
        ("model", "fallback_router"),
        ("model", "__end__"),
        ("delegate", "model"),
        ("delegate", "offline"),
        ("delegate", "tools"),
        ("tools", "tools"),
        ("tools", "model"),
        ("tools", "offline"),
        ("fallback_router", "model"),
        ("fallback_router", "offline"),
        ("fallback_router", "stop"),
        ("offline", "delegate"),
        ("offline", "__end__"),
        ("stop", "__end__"),
    }
    assert team.graph.checkpointer is None
    assert set(team.graph.get_output_jsonschema()["properties"]) == {"messages"}
    context = team.graph.get_context_jsonschema()
    assert context is not None
    assert {"model", "max_calls", "max_depth", "max_team_cost"} <= set(context["properties"])


async def test_each_specialist_has_its_task_its_tools_and_no_more(run: Run) -> None:
    script = Script(ask(mathematician="2+2?", forecaster="Seoul?"), "so it is")
    done = await run(script, "a secret question")
    assert set(script.led[0].tools) == set(OWN)
    seen = {r.messages[-1]["content"]: set(r.tools) for r in script.asked}
    assert seen == {"2+2?": {"calculator"}, "Seoul?": {"weather", "current_time"}}
    assert not any("secret" in json.dumps(r.body) for r in script.asked)
    assert {n: m.content for n, m in answers(done).items()} == {
        "mathematician": "mathematician says so",
        "forecaster": "forecaster says so",
    }
    assert done["messages"][-1].text == "so it is"


async def test_specialists_work_at_the_same_time(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    class Meeting(Script):
        def __call__(self, request: Request) -> Answer:
            answer = super().__call__(request)
            if request in self.led or request.messages[-1]["role"] == "tool":
                return answer
            return Reply(tool_calls=[ToolCall(name, {}) for name in request.tools])

    script = Meeting(ask(mathematician="a", forecaster="b", researcher="c"), "done")
    fake_provider.script("model-a", script)
    config = share(models)
    tools = meeting(3, "calculator", "weather", "search")
    config.get("configurable", {})["__everturn"]["tools"] = tools
    done = await team.graph.ainvoke(Input(messages=[HumanMessage("go")]), config)
    assert {name: m.content for name, m in answers(done).items()} == {
        name: f"{name} says so" for name in OWN
    }


async def test_one_specialist_may_be_asked_twice_at_once(run: Run) -> None:
    twice = [ToolCall("forecaster", {"task": place}) for place in ("Seoul", "Busan")]
    script = Script(Reply(tool_calls=twice), "done")
    done = await run(script)
    assert sorted(r.messages[-1]["content"] for r in script.asked) == ["Busan", "Seoul"]
    _, called, *results, _ = done["messages"]
    assert [r.tool_call_id for r in results] == [c["id"] for c in called.tool_calls]


async def test_the_answer_knows_what_all_calls_took(run: Run) -> None:
    costs: dict[str, Answer] = {n: Reply("x", cost=0.25) for n in ("mathematician", "forecaster")}
    script = Script(
        Reply(tool_calls=ask(mathematician="a", forecaster="b").tool_calls, cost=0.5),
        Reply("done", cost=1.0),
        **costs,
    )
    done = await run(script)
    route = done["messages"][-1].response_metadata["route"]
    assert route["cost"] == pytest.approx(2.0)
    inner = [c for m in answers(done).values() for c in m.response_metadata["calls"]]
    own = [m for m in done["messages"] if isinstance(m, AIMessage)]
    total = sum(c["usage"]["total_tokens"] for c in inner)
    total += sum(m.usage_metadata["total_tokens"] if m.usage_metadata else 0 for m in own)
    assert route["usage"]["total_tokens"] == total


async def test_what_goes_wrong_is_told_to_the_supervisor(run: Run) -> None:
    calls = [
        ToolCall("nobody", {"task": "x"}),
        ToolCall("mathematician", {"job": "x"}),
        ToolCall("researcher", {"task": "find it"}),
    ]
    refuses: dict[str, Answer] = {"researcher": "FAILED: there is nothing"}
    done = await run(Script(Reply(tool_calls=calls), "sorry", **refuses))
    failures = {name: failure_of(m) for name, m in answers(done).items()}
    assert failures == {
        "nobody": "unknown_tool",
        "mathematician": "wrong_arguments",
        "researcher": "tool_error",
    }
    assert "there is nothing" in str(answers(done)["researcher"].content)


async def test_calls_are_bounded(run: Run) -> None:
    script = Script(
        ask(mathematician="1", forecaster="2", researcher="3"), ask(mathematician="4"), "done"
    )
    done = await run(script, max_calls=2)
    assert len(script.asked) == 2
    refused = [m for m in done["messages"] if isinstance(m, ToolMessage) and m.status == "error"]
    assert [failure_of(m) for m in refused] == ["refused", "refused"]
    assert "No more specialists" in str(refused[1].content)


@pytest.mark.parametrize("bound", [{"max_team_tokens": 1}, {"max_team_cost": 0.1}])
async def test_what_they_take_is_bounded(run: Run, bound: dict[str, float]) -> None:
    dear: dict[str, Answer] = {"mathematician": Reply("x", cost=0.2)}
    script = Script(ask(mathematician="1"), ask(forecaster="2"), "done", **dear)
    done = await run(script, **bound)
    assert len(script.asked) == 1
    assert failure_of(answers(done)["forecaster"]) == "refused"


async def test_time_is_bounded(run: Run) -> None:
    slow: dict[str, Answer] = {"mathematician": Fault("silent")}
    script = Script(ask(mathematician="1"), "too slow", **slow)
    done = await run(script, specialist_seconds=0.3, use_fallback=False, offline_answer=False)
    assert failure_of(answers(done)["mathematician"]) == "tool_error"
    assert done["messages"][-1].text == "too slow"


async def test_a_supervisor_that_asks_without_end_loses_its_turn(run: Run) -> None:
    script = Script(*(ask(mathematician="again") for _ in range(50)))
    done = await run(script, max_tool_rounds=2, use_fallback=False)
    assert len(script.asked) == 2
    assert done["messages"][-1].response_metadata["route"]["tried"][0]["failure"] == "tool_loop"


async def test_below_the_lowest_level_nobody_is_asked(run: Run) -> None:
    script = Script("I do it myself")
    await run(script, depth=2, max_depth=2)
    assert script.led[0].tools == {}


async def test_the_caller_chooses_specialists_and_tools(run: Run) -> None:
    calls = [ToolCall("current_time", {}), ToolCall("forecaster", {"task": "Seoul"})]
    script = Script(Reply(tool_calls=calls), "done")
    done = await run(
        script,
        specialists=["forecaster"],
        own_tools=["current_time", "calculator"],
        tools=["current_time"],
    )
    assert set(script.led[0].tools) == {"forecaster", "current_time"}
    assert set(script.asked[0].tools) == {"current_time"}
    assert {name: m.status for name, m in answers(done).items()} == {
        "current_time": "success",
        "forecaster": "success",
    }


async def test_streams_show_who_speaks(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", Script(ask(mathematician="2+2?"), "done"))
    asked = Input(messages=[HumanMessage("go")])
    speakers: dict[str, set[Any]] = {}
    names: set[Any] = set()
    stream: Any = team.graph.astream(
        asked, share(models), stream_mode=["messages", "updates"], subgraphs=True
    )
    async for namespace, mode, data in stream:
        place = namespace[0].partition(":")[0] if namespace else ""
        if mode == "messages":
            speakers.setdefault(place, set()).add(data[1].get("lc_agent_name"))
        elif namespace and "model" in data:
            names |= {message.name for message in data["model"]["messages"]}
    assert speakers["mathematician"] == {"mathematician"}
    assert speakers[""] == {None}
    assert names == {"mathematician"}


async def test_a_turn_that_was_broken_off_leaves_the_next_one_alone(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    script = Script(ask(mathematician="1"), ask(forecaster="2"), "done")
    script.specialists["mathematician"] = Fault("silent")
    fake_provider.script("model-a", script)
    graph = team.graph.copy({"checkpointer": InMemorySaver()})
    config, context = share(models, thread_id="t"), TeamContext(model="model-a")
    first = asyncio.create_task(
        graph.ainvoke(Input(messages=[HumanMessage("one")]), config, context=context)
    )
    await eventually(lambda: script.asked)
    first.cancel()
    await asyncio.wait([first])
    second = Input(messages=[HumanMessage("two")])
    done = await graph.ainvoke(second, config, context=context)
    assert done["messages"][-1].text == "done"
    assert len(script.asked) == 2
    assert answers(done)["forecaster"].content == "forecaster says so"
    assert "Cancelled" in str(answers(done)["mathematician"].content)


def test_each_specialist_is_one_file() -> None:
    found = find_specialists()
    assert tuple(found) == OWN
    assert all(each.purpose and each.tools and each.require_tools for each in found.values())


def test_a_colleague_that_there_is_not_is_named() -> None:
    with pytest.raises(ValueError, match="the colleague 'b'"):
        checked([Specialist(name="a", purpose="x", colleagues=("b",))])


@pytest.mark.parametrize(
    ("said", "flaw"),
    [
        ("[", "not JSON"),
        ('[{"name": "a", "purpose": "b", "kind": "a2a"}]', "needs a `url`"),
        ('[{"name": "a", "purpose": "b", "url": "http://x"}]', "kinds langgraph and a2a"),
        ('[{"name": "a", "purpose": "b", "kind": "a2a", "url": "http://u:p@x"}]', "in `headers`"),
        ('[{"name": "model", "purpose": "b"}]', "part of the graph"),
        ('[{"name": "A b", "purpose": "b"}]', "pattern"),
        ('[{"name": "a", "purpose": "b"}, {"name": "a", "purpose": "c"}]', "two specialists"),
        ('[{"name": "a", "purpose": "b", "color": "red"}]', "Extra inputs"),
    ],
)
def test_wrong_settings_say_what_is_wrong(said: str, flaw: str) -> None:
    with pytest.raises(ValidationError, match=flaw):
        SpecialistSettings.model_validate({"specialists": said})


async def test_a_specialist_that_asks_models_without_end_is_stopped_by_its_money(run: Run) -> None:
    again = Reply(tool_calls=[ToolCall("calculator", {"expression": "1+1"})], cost=0.2)
    endless: dict[str, Answer] = {"mathematician": again}
    script = Script(ask(mathematician="1"), "stopped", **endless)
    done = await run(script, max_team_cost=0.1)
    assert len(script.asked) == 1
    assert "all the money" in str(answers(done)["mathematician"].content)
    assert done["messages"][-1].response_metadata["route"]["cost"] >= 0.2
