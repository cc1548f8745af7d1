"""The node `tools`: side by side, within bounds, and whatever goes wrong is an answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

import orjson
import pytest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    InvalidToolCall,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    ToolException,
    tool,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import Command, interrupt
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from everturn.graph.context import Context
from everturn.graph.nodes.tools import tools as tools_node
from everturn.graph.services import Services
from everturn.graph.state import State
from everturn.graph.steps.tool_calls import give_ids
from everturn.graph.steps.window import open_calls
from everturn.tools.kit.cache import MemoryStore
from everturn.tools.kit.current import attempt, do_not_cache, idempotency_key
from everturn.tools.kit.declare import declare
from everturn.tools.kit.discovery import Discovery
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Toolbox
from tests.waiting import PATIENCE, eventually

Args = dict[str, Any]


class BareToolSettings(ToolSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


def after(state: State) -> str:
    return "tools" if open_calls(state["messages"]) else END


builder = StateGraph(State, Context)
builder.add_node("tools", tools_node)
builder.add_edge(START, "tools")
builder.add_conditional_edges("tools", after, ["tools", END])
graph = builder.compile(checkpointer=InMemorySaver())


def toolbox(*tools: BaseTool, **settings: Any) -> Toolbox:
    found = Discovery({each.name: each for each in tools})
    return Toolbox(found, settings=BareToolSettings(**settings))


def sharing(box: Toolbox, thread: str = "t") -> RunnableConfig:
    services = Services(models=cast("Any", None), tools=box)
    return {"configurable": {"__everturn": services, "thread_id": thread}}


def asking(*calls: tuple[str, Args], invalid: Sequence[InvalidToolCall] = ()) -> State:
    made = [
        {"name": name, "args": args, "id": f"c{n}", "type": "tool_call"}
        for n, (name, args) in enumerate(calls)
    ]
    asked = AIMessage("", tool_calls=made, invalid_tool_calls=list(invalid), id="asked")
    return cast("State", {"messages": [HumanMessage("do it"), asked]})


async def answers(
    box: Toolbox, *calls: tuple[str, Args], thread: str | None = None, **context: Any
) -> list[ToolMessage]:
    thread = thread or f"thread {time.monotonic_ns()}"
    done = await graph.ainvoke(asking(*calls), sharing(box, thread), context=Context(**context))
    return [message for message in done["messages"] if isinstance(message, ToolMessage)]


def failures(found: Sequence[ToolMessage]) -> list[str | None]:
    return [message.additional_kwargs.get("failure") for message in found]


@tool
async def nap(seconds: float) -> str:
    """Sleep without blocking."""
    await asyncio.sleep(seconds)
    return f"napped {seconds}"


@tool
def block(seconds: float) -> str:
    """Sleep and block."""
    time.sleep(seconds)
    return f"blocked {seconds}"


@tool
def fail(how: str) -> str:
    """Fail in many ways."""
    if how == "says":
        raise ToolException("the page is gone")
    if how == "exit":
        raise SystemExit(3)
    if how == "stop":
        raise StopIteration
    if how == "validation":
        Inner(number=cast("Any", "sk-secret"))
    raise ValueError("sk-secret at /var/secret")


@tool
async def afail(how: str) -> str:
    """Fail on the loop."""
    if how == "cancel":
        raise asyncio.CancelledError
    raise ValueError("sk-secret")


class Inner(BaseModel):
    number: int


@tool
def echo(text: str) -> str:
    """Say it again."""
    return text


@pytest.mark.parametrize("at_once", [1, 4])
async def test_calls_run_side_by_side_on_and_off_the_loop(at_once: int) -> None:
    under_way, most = 0, 0
    counting = threading.Lock()

    def count(change: int) -> None:
        nonlocal under_way, most
        with counting:
            under_way += change
            most = max(most, under_way)

    @tool
    async def waits() -> str:
        """Wait for the others."""
        count(1)
        await asyncio.sleep(0.3)
        count(-1)
        return "waited"

    @tool
    def blocks() -> str:
        """Block a thread meanwhile."""
        count(1)
        time.sleep(0.3)
        count(-1)
        return "blocked"

    box = toolbox(waits, blocks, tool_concurrency=at_once)
    found = await answers(box, ("waits", {}), ("blocks", {}), ("blocks", {}))
    assert failures(found) == [None] * 3
    assert (most == 1) if at_once == 1 else (most > 1)


async def test_the_event_loop_goes_on_while_tools_block() -> None:
    begun, ticked = threading.Event(), threading.Event()

    @tool
    def wait() -> str:
        """Block until the loop has gone on."""
        begun.set()
        return str(ticked.wait(PATIENCE))

    async def tick() -> None:
        await eventually(begun.is_set)
        ticked.set()

    (found,), _ = await asyncio.gather(answers(toolbox(wait), ("wait", {})), tick())
    assert found.content == "True"


async def test_no_more_run_at_once_than_may() -> None:
    running: list[int] = []
    at_once = 0

    @tool
    async def count(n: int) -> int:
        """Count who runs."""
        nonlocal at_once
        at_once += 1
        running.append(at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return n

    found = await answers(
        toolbox(count, tool_concurrency=3), *[("count", {"n": n}) for n in range(12)]
    )
    assert max(running) == 3
    assert [message.content for message in found] == [str(n) for n in range(12)]


async def test_answers_come_in_the_order_of_the_calls_under_their_ids() -> None:
    naps = (0.05, 0.0, 0.02)
    found = await answers(toolbox(nap), *[("nap", {"seconds": s}) for s in naps])
    assert [(m.tool_call_id, m.content) for m in found] == [
        (f"c{n}", f"napped {s}") for n, s in enumerate(naps)
    ]
    assert all(message.additional_kwargs["timestamp"] for message in found)


async def test_failing_tools_take_no_sibling_along_and_tell_no_secret() -> None:
    found = await answers(
        toolbox(echo, fail, afail),
        ("fail", {"how": "raise"}),
        ("fail", {"how": "says"}),
        ("fail", {"how": "exit"}),
        ("fail", {"how": "stop"}),
        ("fail", {"how": "validation"}),
        ("afail", {"how": "raise"}),
        ("afail", {"how": "cancel"}),
        ("echo", {"text": "alive"}),
    )
    internal = "internal"
    assert failures(found) == [
        *(internal, "tool_error", internal, internal, internal, internal, internal),
        None,
    ]
    assert found[-1].content == "alive"
    assert [message.status for message in found] == ["error"] * 7 + ["success"]
    assert "the page is gone" in str(found[1].content)
    assert "ValueError" in str(found[0].content)
    told = "".join(str(message.content) for message in found)
    for secret in ("sk-secret", "/home", "ValueError(", "Traceback"):
        assert secret not in told


async def test_what_the_model_got_wrong_is_told_to_it() -> None:
    invalid = InvalidToolCall(
        name="echo", args='{"text": "cut', id="bad", error=None, type="invalid_tool_call"
    )
    calls: list[tuple[str, Args]] = [
        ("teleport", {}),
        ("echo", {"words": 1}),
        ("echo", {"text": ["x"]}),
    ]
    done = await graph.ainvoke(
        asking(*calls, invalid=[invalid]), sharing(toolbox(echo, nap), "wrong")
    )
    found = [message for message in done["messages"] if isinstance(message, ToolMessage)]
    assert failures(found) == [
        "unknown_tool",
        "wrong_arguments",
        "wrong_arguments",
        "malformed_call",
    ]
    assert "echo, nap" in str(found[0].content)
    assert "text: Field required" in str(found[1].content)
    assert found[3].tool_call_id == "bad"


async def test_only_malformed_calls_are_answered_too() -> None:
    invalid = InvalidToolCall(name="x", args="[", id=None, error=None, type="invalid_tool_call")
    done = await graph.ainvoke(asking(invalid=[invalid]), sharing(toolbox(), "malformed"))
    assert failures(done["messages"][2:]) == ["malformed_call"]


async def test_a_run_may_allow_only_some_tools() -> None:
    calls: list[tuple[str, Args]] = [("echo", {"text": "hi"}), ("nap", {"seconds": 0})]
    found = await answers(toolbox(echo, nap), *calls, tools=["nap"])
    assert failures(found) == ["unknown_tool", None]
    assert "echo" not in str(found[0].content)
    assert (
        failures(await answers(toolbox(echo, nap), *calls, use_tools=False)) == ["unknown_tool"] * 2
    )


async def test_each_call_has_its_own_time_and_a_tool_may_declare_it() -> None:
    @declare(timeout=0.05)
    @tool
    async def hurried() -> str:
        """Take long."""
        await asyncio.sleep(3600)
        return "late"

    found = await answers(
        toolbox(hurried, nap, tool_timeout=1),
        ("hurried", {}),
        ("nap", {"seconds": 3600}),
        ("nap", {"seconds": 0}),
    )
    assert failures(found) == ["timeout", "timeout", None]
    assert "0.05 s" in str(found[0].content)
    assert " 1 s" in str(found[1].content)


async def test_endless_tools_take_nothing_from_the_others() -> None:
    end = threading.Event()

    @declare(timeout=0.05)
    @tool
    def endless() -> str:
        """Never end."""
        end.wait(PATIENCE)
        return "ended"

    @declare(timeout=0.05)
    @tool
    async def stubborn() -> str:
        """Ignore being cancelled."""
        while not end.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        return "ended"

    box = toolbox(endless, stubborn, block)
    try:
        found = await answers(
            box, *[("endless", {})] * 3, ("stubborn", {}), ("block", {"seconds": 0})
        )
        assert failures(found) == ["timeout"] * 4 + [None]
        found = await answers(box, ("endless", {}), ("endless", {}), ("block", {"seconds": 0}))
        assert failures(found)[0] == "timeout"
        found = await answers(box, ("endless", {}), ("block", {"seconds": 0}))
        assert failures(found) == ["stuck", None]  # it gets no more threads
        health = {each["name"]: each["health"] for each in box.overview()}
        assert (health["endless"], health["block"]) == ("degraded", "healthy")
    finally:
        end.set()
    await eventually(
        lambda: not (box.execution.stuck("endless") or box.execution.stuck("stubborn"))
    )
    assert (await answers(box, ("endless", {})))[0].content == "ended"


async def test_a_huge_result_is_cut_with_a_notice() -> None:
    @tool
    def blocks() -> list[dict[str, str]]:
        """Return content blocks."""
        return [{"type": "text", "text": "x" * 80}] * 3

    @tool
    def broken() -> str:
        """Return half a surrogate pair."""
        return "a\ud83d" + "ü" * 200

    box = toolbox(echo, blocks, broken, tool_result_limit=100)
    found = await answers(
        box, ("echo", {"text": "y" * 1_000_000}), ("echo", {"text": "z" * 100}), ("blocks", {}),
        ("broken", {}),
    )  # fmt: skip
    assert found[0].content == "y" * 100 + "\n[Cut: 100 of 1000000 characters are shown.]"
    assert found[1].content == "z" * 100
    texts = [block["text"] for block in found[2].content if isinstance(block, dict)]
    assert texts[0] == "x" * 80
    assert texts[1].startswith("x" * 20 + "\n[Cut")
    assert len(texts) == 3
    assert "Cut" in texts[2]
    assert str(found[3].content).startswith("a\ufffdü")
    str(found[3].content).encode()


async def test_a_result_that_no_store_takes_is_made_one() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    odd: dict[str, Any] = {
        "surrogate": "a\ud83d",
        "nul": "a\0",
        "large": 2**70,
        "nan": float("nan"),
        "deep": deep,
        "bytes": b"\xff",
        "key": {"a\ud83d": 1},
        "blocks": [{"type": "text", "text": "a\ud83d", "n": 2**70}],
        "media": [{"type": "image", "base64": "aa", "more": deep}],
        "object": [{"type": "image", "of": object()}],
    }

    @tool
    def give(which: str) -> Any:
        """Return it."""
        return odd[which]

    @tool(response_format="content_and_artifact")
    def attach(which: str) -> tuple[str, Any]:
        """Return it beside the text."""
        return "done", odd[which]

    @tool
    def word(which: str) -> ToolMessage:
        """Return a message of one's own."""
        return ToolMessage("done", tool_call_id="c0", additional_kwargs={"it": odd[which]})

    for each in (give, attach, word):
        for which in odd:
            (found,) = await answers(toolbox(each), (each.name, {"which": which}))
            JsonPlusSerializer().dumps_typed(found)
            orjson.dumps(found.model_dump(), default=str)
            assert found.status == "success" or "RecursionError" in str(found.content)


@pytest.mark.parametrize(("size", "kept"), [(1_000_000, True), (9_000_000, False)])
async def test_a_huge_artifact_is_not_stored_with_the_thread(size: int, kept: bool) -> None:
    @tool(response_format="content_and_artifact")
    def both() -> tuple[str, dict[str, str]]:
        """Say it to the model and to the program, as tools of MCP servers do."""
        return "x" * size, {"result": "x" * size}

    (found,) = await answers(toolbox(both, tool_result_limit=100), ("both", {}))
    assert len(found.content) < 200
    assert (found.artifact is not None) == kept


async def test_stopping_a_run_stops_its_tools() -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def long() -> str:
        """Take long."""
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return ""

    run = asyncio.create_task(answers(toolbox(long), ("long", {}), ("long", {})))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert stopped.is_set()


async def test_a_call_has_a_key_that_is_the_same_when_it_is_made_again() -> None:
    keys: list[str | None] = []

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        keys.append(idempotency_key())
        return "paid"

    @tool
    async def apay(amount: int) -> str:
        """Pay on the loop."""
        keys.append(idempotency_key())
        return "paid"

    box = toolbox(pay, apay)
    for _ in range(2):  # the same state again: as after a crash
        await answers(box, ("pay", {"amount": 1}), ("apay", {"amount": 1}), thread="one")
        await graph.checkpointer.adelete_thread("one")  # type: ignore[union-attr]
    await answers(box, ("pay", {"amount": 1}), thread="two")
    first, second, again_first, again_second, elsewhere = keys
    assert {first, second} == {again_first, again_second}
    assert len({first, second, elsewhere}) == 3
    assert all(key and len(key) == 32 for key in keys)
    assert idempotency_key() is None


async def test_a_tool_may_ask_a_person_and_its_siblings_work_once() -> None:
    done: list[str] = []

    @tool
    def ask(question: str) -> str:
        """Ask a person."""
        return f"{question}: {interrupt(question)}"

    @tool
    async def work(what: str) -> str:
        """Do some work."""
        await asyncio.sleep(0.05)
        done.append(what)
        return what

    config = sharing(toolbox(ask, work), "asks")
    calls = [("ask", {"question": "who"}), ("work", {"what": "w"}), ("ask", {"question": "where"})]
    waits = await graph.ainvoke(asking(*calls), config)
    assert [each.value for each in waits["__interrupt__"]] == ["who"]
    waits = await graph.ainvoke(Command(resume="Ada"), config)
    assert [each.value for each in waits["__interrupt__"]] == ["where"]
    final = await graph.ainvoke(Command(resume="here"), config)
    found = {m.tool_call_id: m.content for m in final["messages"] if isinstance(m, ToolMessage)}
    assert found == {"c0": "who: Ada", "c1": "w", "c2": "where: here"}
    assert done == ["w"]


async def test_two_who_ask_at_once_each_get_their_own_answer() -> None:
    @tool
    def ask(question: str) -> str:
        """Ask a person."""
        if question == "first":
            time.sleep(0.05)  # so that the second asks first
        return f"{question}: {interrupt(question)}"

    config = sharing(toolbox(ask), "two ask")
    calls = [("ask", {"question": "first"}), ("ask", {"question": "second"})]
    waits = await graph.ainvoke(asking(*calls), config)
    assert [each.value for each in waits["__interrupt__"]] == ["first"]
    waits = await graph.ainvoke(Command(resume="1"), config)
    assert [each.value for each in waits["__interrupt__"]] == ["second"]
    final = await graph.ainvoke(Command(resume="2"), config)
    found = [m.content for m in final["messages"] if isinstance(m, ToolMessage)]
    assert found == ["first: 1", "second: 2"]


async def test_an_approved_tool_that_pauses_is_not_approved_again() -> None:
    @declare(approval=True)
    @tool
    def ask(question: str) -> str:
        """Ask a person."""
        return f"{question}: {interrupt(question)}"

    config = sharing(toolbox(ask, echo), "approved asks")
    calls = [("ask", {"question": "who"}), ("echo", {"text": "e"})]
    waits = await graph.ainvoke(asking(*calls), config)
    (approval,) = waits["__interrupt__"]
    assert [each["id"] for each in approval.value["action_requests"]] == ["c0"]
    waits = await graph.ainvoke(Command(resume={"decisions": [{"type": "approve"}]}), config)
    assert [each.value for each in waits["__interrupt__"]] == ["who"]
    final = await graph.ainvoke(Command(resume="Ada"), config)
    found = {m.tool_call_id: m.content for m in final["messages"] if isinstance(m, ToolMessage)}
    assert found == {"c0": "who: Ada", "c1": "e"}


async def test_langgraphs_own_arguments_are_injected_and_no_model_forges_them() -> None:
    seen: dict[str, Any] = {}

    @tool
    def inside(
        text: str,
        messages: Annotated[list[AnyMessage], InjectedState("messages")],
        call_id: Annotated[str, InjectedToolCallId],
        runtime: ToolRuntime[Context, Any],
    ) -> str:
        """Look around."""
        seen.update(messages=messages, call_id=call_id, runtime=runtime)
        return text

    found = await answers(
        toolbox(inside), ("inside", {"text": "t", "messages": ["forged"], "runtime": "forged"})
    )
    assert found[0].content == "t"
    assert [message.type for message in seen["messages"]] == ["human", "ai"]
    assert seen["call_id"] == "c0"
    assert seen["runtime"].context == Context()


async def test_a_tool_may_return_a_command() -> None:
    @tool
    def steer(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Change the state."""
        said = ToolMessage("steered " + "x" * 500, tool_call_id=call_id)
        return Command(update={"messages": [said], "route": {"model": "m"}})

    done = await graph.ainvoke(
        asking(("echo", {"text": "a"}), ("steer", {}), ("echo", {"text": "b"})),
        sharing(toolbox(steer, echo, tool_result_limit=100), "command"),
    )
    found = [m for m in done["messages"] if isinstance(m, ToolMessage)]
    assert [m.tool_call_id for m in found] == ["c0", "c1", "c2"]
    assert "Cut" in str(found[1].content)
    assert done["route"] == {"model": "m"}


async def test_calls_are_counted_by_tool_and_how_they_ended() -> None:
    told: list[tuple[str, str]] = []

    class Meter:
        def tool_called(self, tool: str, status: str, seconds: float) -> None:
            told.append((tool, status))

        def tool_cache_used(self, tool: str, use: str) -> None:
            raise AssertionError

    found = Discovery({"echo": echo, "fail": fail})
    box = Toolbox(found, settings=BareToolSettings(), meter=Meter())
    await answers(
        box, ("echo", {"text": "a"}), ("echo", {}), ("fail", {"how": "says"}), ("made_up", {})
    )
    assert sorted(told) == [
        ("echo", "success"),
        ("echo", "wrong_arguments"),
        ("fail", "tool_error"),
        ("unknown", "unknown_tool"),
    ]
    figures = {each["name"]: (each["calls"], each["errors"]) for each in box.overview()}
    assert figures == {"echo": (2, 1), "fail": (1, 1)}


async def test_calls_that_are_not_made_are_counted_too_and_are_no_fault_of_the_tool() -> None:
    told: list[tuple[str, str]] = []

    class Meter:
        def tool_called(self, tool: str, status: str, seconds: float) -> None:
            told.append((tool, status))

        def tool_cache_used(self, tool: str, use: str) -> None:
            raise AssertionError

    found = Discovery({"echo": echo})
    box = Toolbox(found, settings=BareToolSettings(approve_tools=["echo"]), meter=Meter())
    config, cut = sharing(box, "counted"), '{"text": "cut'
    invalid = [
        InvalidToolCall(name=name, args=cut, id=name, error=None, type="invalid_tool_call")
        for name in ("echo", "made_up")
    ]
    await graph.ainvoke(asking(("echo", {"text": "a"}), invalid=invalid), config)
    assert told == []
    await graph.ainvoke(Command(resume={"decisions": [{"type": "reject"}]}), config)
    assert told == [("echo", "refused"), ("echo", "malformed_call"), ("unknown", "malformed_call")]
    (figures,) = box.overview()
    assert (figures["calls"], figures["errors"], figures["health"]) == (2, 2, "healthy")
    assert list(box.execution.counter.counts) == ["echo"]


async def test_no_call_reaches_its_tool_unapproved_by_arguments_that_do_not_fit() -> None:
    made: list[Any] = []

    class Mail(BaseModel):
        model_config = ConfigDict(populate_by_name=True)

        to: str = Field(alias="recipient")

    @tool(args_schema=Mail)
    def mail(to: str) -> None:
        """Send a mail; it takes `recipient` too, of which its schema says nothing."""
        made.append(to)

    async def take(**args: Any) -> None:
        made.append(args)

    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    remote = StructuredTool(
        name="remote", description="Send a mail.", args_schema=schema, coroutine=take
    )
    box = toolbox(mail, remote, approve_tools=["*"])
    wrong: list[tuple[str, Args]] = [("mail", {"recipient": "eve"}), ("remote", {"whom": "eve"})]
    found = await answers(box, *wrong)
    assert failures(found) == ["wrong_arguments"] * 2
    assert [message.content for message in found] == ["wrong_arguments: to: Field required"] * 2
    assert made == []


APPROVE_FIRST = {"id": "c0", "type": "approve"}
REFUSE_SECOND = {"id": "c1", "type": "reject"}
EDIT_FIRST = {"id": "c0", "type": "edit", "edited_action": {"args": {"text": "edited"}}}


@pytest.mark.parametrize(
    ("before", "after", "decisions", "again", "made"),
    [
        ("echo", "*", [EDIT_FIRST], ["c1"], {"c0": "edited", "c1": "shout B"}),
        ("echo", "shout", [EDIT_FIRST], ["c1"], {"c0": "edited", "c1": "shout B"}),
        ("*", "echo", [APPROVE_FIRST, REFUSE_SECOND], [], {"c0": "a", "c1": "refused:"}),
        ("*", "*", [APPROVE_FIRST], ["c1"], {"c0": "a", "c1": "shout B"}),
    ],
    ids=["more", "others", "fewer", "some"],
)
async def test_a_decision_that_names_its_call_holds_for_no_other(
    before: str, after: str, decisions: list[Args], again: list[str], made: dict[str, str]
) -> None:
    """What must be approved may change while a call waits: a restart with other settings."""

    @tool
    def shout(text: str) -> str:
        """Say it loudly."""
        return f"shout {text.upper()}"

    def box(approve: str) -> RunnableConfig:
        return sharing(toolbox(echo, shout, approve_tools=[approve]), f"{before} {after} {again}")

    await graph.ainvoke(asking(("echo", {"text": "a"}), ("shout", {"text": "b"})), box(before))
    done = await graph.ainvoke(Command(resume={"decisions": decisions}), box(after))
    for waits in done.get("__interrupt__") or ():
        assert [each["id"] for each in waits.value["action_requests"]] == again
        assert not any(isinstance(message, ToolMessage) for message in done["messages"])
        second = {"decisions": [{"id": call_id, "type": "approve"} for call_id in again]}
        done = await graph.ainvoke(Command(resume=second), box(after))
    found = {m.tool_call_id: str(m.content) for m in done["messages"] if isinstance(m, ToolMessage)}
    assert found.keys() == made.keys()
    assert all(found[call_id].startswith(text) for call_id, text in made.items())


async def test_a_tool_that_goes_while_its_call_waits_keeps_no_other_waiting() -> None:
    config = sharing(toolbox(echo, nap, approve_tools=["*"]), "goes")
    await graph.ainvoke(asking(("echo", {"text": "a"}), ("nap", {"seconds": 0})), config)
    left = sharing(toolbox(nap, approve_tools=["*"]), "goes")
    decisions = [{"id": call_id, "type": "approve"} for call_id in ("c0", "c1")]
    done = await graph.ainvoke(Command(resume={"decisions": decisions}), left)
    assert failures(done["messages"][2:]) == ["unknown_tool", None]


def test_each_call_gets_an_id_of_its_own() -> None:
    made: list[Args] = [
        {"name": "echo", "args": {}, "id": call_id} for call_id in ("a", "a", "", "b")
    ]
    answer = AIMessage("", tool_calls=made)
    give_ids(answer)
    ids = [call["id"] for call in answer.tool_calls]
    assert (ids[0], ids[3]) == ("a", "b")
    assert len({*ids}) == 4
    assert all(ids)


async def test_an_error_that_a_tool_words_itself_has_a_class_too() -> None:
    @tool
    def worded() -> str:
        """Handle its own errors."""
        raise ToolException("the page is gone")

    worded.handle_tool_error = True
    (found,) = await answers(toolbox(worded), ("worded", {}))
    assert found.content == "tool_error: the page is gone"
    assert failures([found]) == ["tool_error"]


async def test_a_tool_that_keeps_failing_is_degraded_wrong_calls_are_not_its_fault() -> None:
    box = toolbox(echo, fail)
    for _ in range(3):
        await answers(box, ("fail", {"how": "x"}), ("echo", {}))
    health: Callable[[], dict[str, str]] = lambda: {  # noqa: E731
        each["name"]: each["health"] for each in box.overview()
    }
    assert health() == {"echo": "healthy", "fail": "degraded"}


async def test_a_cacheable_tool_is_called_once_for_the_same_arguments() -> None:
    made: list[str] = []

    @declare(cache=60)
    @tool
    def look_up(name: str, language: str = "en") -> str:
        """Look something up."""
        made.append(name)
        if name == "half":
            do_not_cache()
        if name == "nothing":
            raise ToolException("there is nothing")
        return f"{name} in {language}"

    box = toolbox(look_up)
    same: list[tuple[str, Args]] = [
        ("look_up", {"name": "a"}),
        ("look_up", {"language": "en", "name": "a"}),
    ]
    found = await answers(box, *same, *same)
    assert [message.content for message in found] == ["a in en"] * 4
    assert [message.tool_call_id for message in found] == ["c0", "c1", "c2", "c3"]
    assert {message.name for message in found} == {"look_up"}
    again = await answers(box, *same)
    assert [message.additional_kwargs.get("cached") for message in again] == [True, True]
    assert [message.additional_kwargs.get("cached") for message in found].count(None) == 1
    assert made == ["a"]
    await answers(box, ("look_up", {"name": "a", "language": "ko"}))
    for name in ("half", "half", "nothing", "nothing"):
        await answers(box, ("look_up", {"name": name}))
    assert made == ["a", "a", "half", "half", "nothing", "nothing"]
    (figures,) = box.overview()
    assert figures["cache_hits"] == 5
    assert figures["calls"] == 11
    assert figures["cache_seconds"] == 60


async def test_a_new_version_of_a_tool_uses_no_old_results() -> None:
    store = MemoryStore()

    def versioned(version: str) -> Toolbox:
        @declare(cache=60, version=version)
        @tool
        def answer() -> str:
            """Answer."""
            return f"version {version}"

        return Toolbox(Discovery({"answer": answer}), settings=BareToolSettings(), store=store)

    found = [(await answers(versioned(v), ("answer", {})))[0].content for v in ("1", "2", "1")]
    assert found == ["version 1", "version 2", "version 1"]


class Kept:
    """Keeps answers in memory, and says what it was asked."""

    def __init__(self, **answers: ToolMessage) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []

    async def astored(self, config: RunnableConfig) -> None:
        self.asked.append("whether it is stored")

    async def akept_answers(self, config: RunnableConfig) -> dict[str, Any]:
        self.asked.append("what is kept")
        return dict(self.answers)

    async def akeep_answer(self, config: RunnableConfig, call_id: str, answer: Any) -> None:
        self.asked.append(call_id)
        self.answers[call_id] = answer


def keeping(kept: Kept, *tools: BaseTool, **settings: Any) -> Toolbox:
    found = Discovery({each.name: each for each in tools})
    return Toolbox(found, settings=BareToolSettings(**settings), answers=kept)


async def again(box: Toolbox, *calls: tuple[str, Args], attempt: int) -> list[ToolMessage]:
    """What a process answers that takes a run over."""
    config = sharing(box, f"thread {time.monotonic_ns()}")
    config["metadata"] = {"run_attempt": attempt}
    done = await graph.ainvoke(asking(*calls), config)
    return [message for message in done["messages"] if isinstance(message, ToolMessage)]


async def test_answers_are_kept_while_others_of_their_step_are_awaited() -> None:
    """The last one is stored with the step, and a single call is the last one."""
    kept = Kept()
    box = keeping(kept, echo, nap)
    state = cast("State", {**asking(("echo", {"text": "one"})), "route": {}})
    await graph.ainvoke(state, sharing(box, "single"))
    assert kept.asked == ["whether it is stored"]
    calls = asking(("nap", {"seconds": 0.05}), ("echo", {"text": "a"}), ("teleport", {}))
    state = cast("State", {**calls, "route": {}})
    await graph.ainvoke(state, sharing(box, "several"))
    assert sorted(kept.asked[2:]) == ["c1", "c2"]
    assert kept.answers["c1"].content == "a"


async def test_what_is_kept_is_not_called_again() -> None:
    called: list[tuple[str | None, int]] = []

    @tool
    async def send(to: str) -> str:
        """Send a mail."""
        called.append((idempotency_key(), attempt()))
        return f"sent to {to}"

    kept = Kept(c1=ToolMessage("sent to b, before", tool_call_id="c1", name="send"))
    calls = [("send", {"to": to}) for to in "abc"]
    found = await again(keeping(kept, send), *calls, attempt=2)
    assert [message.tool_call_id for message in found] == ["c0", "c1", "c2"]
    assert [str(message.content).split("\n")[0] for message in found] == [
        "sent to a",
        "sent to b, before",
        "sent to c",
    ]
    assert [message.additional_kwargs.get("attempt") for message in found] == [2, None, 2]
    assert "may have been made before" in str(found[0].content)
    assert [number for _, number in called] == [2, 2]
    assert kept.asked[0] == "what is kept"


async def test_a_cached_result_says_nothing_of_attempts() -> None:
    """Such a tool only reads: it may be called as often as one likes."""

    @declare(cache=60)
    @tool
    async def look(at: str) -> str:
        """Look."""
        return at

    (found,) = await again(keeping(Kept(), look), ("look", {"at": "it"}), attempt=3)
    assert found.content == "it"
    assert "attempt" not in found.additional_kwargs


async def test_a_call_that_pauses_beside_one_that_was_kept() -> None:
    @tool
    async def ask_person(what: str) -> str:
        """Ask."""
        return f"{what}: {interrupt(what)}"

    kept = Kept(c0=ToolMessage("kept", tool_call_id="c0", name="echo"))
    config = sharing(keeping(kept, echo, ask_person), "kept and paused")
    await graph.ainvoke(asking(("echo", {"text": "x"}), ("ask_person", {"what": "sure"})), config)
    done = await graph.ainvoke(Command(resume="yes"), config)
    found = [message for message in done["messages"] if isinstance(message, ToolMessage)]
    assert [message.content for message in found] == ["kept", "sure: yes"]
