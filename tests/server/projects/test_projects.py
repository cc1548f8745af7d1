"""Somebody else's project: every kind of graph that a langgraph.json may name, run over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from everturn.server.errors import ConfigError, GraphNotFound
from everturn.server.projects.graphs import Graphs, load_graphs
from everturn.server.projects.project import load_project
from tests.service import Client, process, read_events, serving
from tests.waiting import PATIENCE

BUILD = """
import asyncio, contextlib, threading, time
from operator import add
from typing import TYPE_CHECKING, Annotated, Any, TypedDict
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime

class State(TypedDict, total=False):
    log: Annotated[list[str], add]

def build(*says):
    async def node(state: State, runtime: Runtime) -> State:
        return {"log": [*says, type(runtime.store).__name__]}
    return StateGraph(State).add_node("node", node).add_edge(START, "node")
"""

FACTORIES = (
    BUILD
    + """
happened = []

def nothing():
    return build("nothing")

def plain(config):
    return build(config["configurable"].get("who", "nobody")).compile()

def typed(config: RunnableConfig):
    return build(config["configurable"].get("who", "nobody")).compile()

def mapping(config: dict[str, Any]):
    return build(type(config).__name__)

async def coroutine(config: "RunnableConfig"):
    await asyncio.sleep(0)
    return build("coroutine").compile()

@contextlib.asynccontextmanager
async def async_context(config: RunnableConfig):
    happened.append("enter")
    try:
        yield build(*happened).compile()
    finally:
        happened.append("exit")

@contextlib.contextmanager
def context():
    yield build("context")

def runtime(runtime: ServerRuntime[dict]):
    run = runtime.execution_runtime
    return build(runtime.access_context, type(runtime.store).__name__, str(run and run.context))

async def both(config: RunnableConfig, *, runtime: "ServerRuntime", spare: int = 3):
    return build(config["configurable"]["thread_id"], runtime.access_context, str(spare))

class Made:
    def __call__(self, config: RunnableConfig):
        return build("object")
called = Made()

def raises(config: RunnableConfig):
    raise RuntimeError("the factory is out of order")

def wrong():
    return 5

def untold(one, two):
    return build()

@task
async def double(n: int) -> int:
    return 2 * n

@entrypoint()
async def functional(numbers: list[int]) -> list[int]:
    return [await double(n) for n in numbers]

own_memory = build("own").compile(checkpointer=InMemorySaver(), store=InMemoryStore())
builder = build("builder")
"""
)
KINDS = [
    *("nothing", "plain", "typed", "mapping", "coroutine", "async_context", "context", "runtime"),
    *("both", "called", "raises", "wrong", "own_memory", "builder"),
]


def write_project(folder: Path, graphs: dict[str, Any], **others: Any) -> Path:
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": graphs, **others}))
    return config


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("factories")
    (folder / "own_factories.py").write_text(FACTORIES)
    config = write_project(folder, {kind: f"./own_factories.py:{kind}" for kind in KINDS})
    with serving(folder / "data", config=config) as client:
        yield client


def invoke(client: Client, graph: str, **others: Any) -> Any:
    body = {"graph": graph, "input": {"log": ["in"]}, **others}
    response = client.post("/invoke", json=body)
    assert response.status_code == 200, response.text
    return response.json()


OURS = "SQLStore"
SAYS: dict[str, list[str]] = {
    "nothing": ["nothing"],
    "plain": ["ada"],
    "typed": ["ada"],
    "mapping": ["dict"],
    "coroutine": ["coroutine"],
    "context": ["context"],
    "runtime": ["threads.create_run", OURS, "{'tone': 'dry'}"],
    "both": ["t-both", "threads.create_run", "3"],
    "called": ["object"],
    "own_memory": ["own"],
    "builder": ["builder"],
}


@pytest.mark.parametrize("kind", SAYS)
def test_every_kind_of_graph_runs_and_is_lent_the_store(running: Client, kind: str) -> None:
    answer = invoke(
        running,
        kind,
        thread_id=f"t-{kind}",
        config={"configurable": {"who": "ada"}},
        context={"tone": "dry"} if kind == "runtime" else {},
    )
    assert answer == {"log": ["in", *SAYS[kind], OURS]}


def test_what_a_factory_makes_is_lent_the_memory_of_threads(running: Client) -> None:
    invoke(running, "nothing", thread_id="again")
    assert len(invoke(running, "nothing", thread_id="again")["log"]) == 6
    assert len(invoke(running, "own_memory", thread_id="own-again")["log"]) == 3


def test_a_context_is_left_when_its_run_has_ended(running: Client) -> None:
    assert invoke(running, "async_context")["log"] == ["in", "enter", OURS]
    assert invoke(running, "async_context")["log"] == ["in", "enter", "exit", "enter", OURS]
    body = {"graph": "async_context", "input": {"log": ["in"]}, "stream_mode": "values"}
    assert running.events("/stream", body)[-1].data["log"][-3:-1] == ["exit", "enter"]
    assert invoke(running, "async_context")["log"].count("exit") == 3


@pytest.mark.parametrize("graph", ["raises", "wrong"])
def test_a_factory_that_fails_is_the_fault_of_its_run_only(running: Client, graph: str) -> None:
    failed = running.post("/invoke", json={"graph": graph, "input": {"log": []}})
    assert failed.status_code == 500
    assert failed.json()["type"] == "internal-error"
    assert "out of order" not in failed.text
    assert invoke(running, "nothing")["log"][0] == "in"


def loaded(folder: Path, code: str, graphs: dict[str, Any], **others: Any) -> Graphs:
    (folder / "own_project.py").write_text(code)
    return load_graphs(load_project(write_project(folder, graphs, **others)))


async def test_to_open_a_graph_that_is_there_costs_nothing(tmp_path: Path) -> None:
    graphs = loaded(tmp_path, FACTORIES, {"builder": "./own_project.py:builder"})
    graphs = graphs.with_memory(InMemorySaver(), InMemoryStore())
    opened = graphs.open("builder")
    assert opened is graphs.open("builder")
    async with opened as graph, opened as again:
        assert graph is again is graphs["builder"]
    with pytest.raises(GraphNotFound, match="there are: builder"):
        graphs.open("other")


async def test_a_factory_is_told_what_it_is_asked_for(tmp_path: Path) -> None:
    graphs = loaded(tmp_path, FACTORIES, {"runtime": "./own_project.py:runtime"})
    graphs = graphs.with_memory(InMemorySaver(), InMemoryStore())
    assert graphs.fixed("runtime") is None
    with pytest.raises(LookupError, match="open it"):
        graphs["runtime"]
    async with graphs.open("runtime", access="assistants.read", context={"no": "run"}) as graph:
        state = await graph.ainvoke({}, {"configurable": {"thread_id": "t"}})
    assert state["log"] == ["assistants.read", "InMemoryStore", "None", "InMemoryStore"]


async def test_the_functional_api(tmp_path: Path) -> None:
    graphs = loaded(tmp_path, FACTORIES, {"functional": "./own_project.py:functional"})
    graphs = graphs.with_memory(InMemorySaver(), InMemoryStore())
    async with graphs.open("functional") as graph:
        config: Any = {"configurable": {"thread_id": "t"}}
        assert await graph.ainvoke([1, 2], config) == [2, 4]


def test_a_name_may_be_described(tmp_path: Path) -> None:
    entry = {"path": "./own_project.py:builder", "description": "What it is for."}
    graphs = loaded(tmp_path, FACTORIES, {"told": entry, "not": entry["path"]})
    assert graphs.description("told") == "What it is for."
    assert graphs.description("not") is None


def test_graphs_of_several_files_and_dependencies(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "own_words.py").write_text("WORD = 'from lib'\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "second.py").write_text(
        BUILD
        + "from own_words import WORD\nfrom .third import NUMBER\ngraph = build(WORD, NUMBER)\n"
    )
    (tmp_path / "pkg" / "third.py").write_text("NUMBER = '3'\n")
    (tmp_path / "pkg" / "__init__.py").touch()
    graphs = {"one": "./own_project.py:builder", "two": "./pkg/second.py:graph"}
    served = loaded(tmp_path, FACTORIES, graphs, dependencies=[".", "./lib"])
    assert served.names == ["one", "two"]
    assert served["two"].nodes


WRONG: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "no file": ("", "./missing.py:graph", {}, r"graphs\.g: there is no file \./missing\.py"),
    "no variable": ("", "./own_project.py:graph", {}, "has no 'graph'"),
    "no graph": ("graph = 5", "./own_project.py:graph", {}, "'graph': is a int, not a LangGraph"),
    "no text": ("", 5, {}, "must read './file.py:variable', not 5"),
    "no path": ("", {"description": "x"}, {}, "must read './file.py:variable', not None"),
    "broken": ("1 / 0", "./own_project.py:graph", {}, "ZeroDivisionError"),
    "exits": ("raise SystemExit(3)", "./own_project.py:graph", {}, "SystemExit: 3"),
    "untold": (FACTORIES, "./own_project.py:untold", {}, "annotate 'one'"),
    "no folder": ("", "x:y", {"dependencies": ["./nowhere"]}, "there is no folder ./nowhere"),
    "dependencies": ("", "x:y", {"dependencies": "."}, "must be a list"),
    "env": ("", "x:y", {"env": 5}, "env: must name a file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_project_that_cannot_be_served_says_where_and_why(tmp_path: Path, case: str) -> None:
    code, target, others, says = WRONG[case]
    with pytest.raises(ConfigError, match=says):
        loaded(tmp_path, code, {"g": target}, **others)


def test_graphs_that_are_no_object(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    wrong: list[Any] = [[], {}, "x"]
    for graphs in wrong:
        config.write_text(json.dumps({"graphs": graphs}))
        with pytest.raises(ConfigError, match="`graphs` must"):
            load_graphs(load_project(config))


CHECKPOINTER = {"path": "./own_project.py:InMemorySaver"}


def test_the_command_serves_somebody_elses_project(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "own_project.py").write_text(FACTORIES)
    graphs = {"typed": "./own_project.py:typed"}
    config = write_project(tmp_path / "theirs", graphs, checkpointer=CHECKPOINTER)
    with process(tmp_path / "data", "--config", str(config)) as running:
        with Client(running.url()) as client:
            assert client.get("/info").json()["graphs"] == ["typed"]
            assert invoke(client, "typed")["log"] == ["in", "nobody", OURS]
        warned = [json.loads(line) for line in running.log if "project_warning" in line]
        assert [each["key"] for each in warned] == ["checkpointer.path"]
    with process(tmp_path / "data2") as running:
        assert running.url()
        assert not [line for line in running.log if "project_warning" in line]


SLEEPS = (
    BUILD
    + """
meanwhile = threading.Event()

def sleep(state: State) -> State:
    return {"log": [str(meanwhile.wait(120))]}

def wake(state: State) -> State:
    meanwhile.set()
    return {"log": ["woke"]}

async def block(state: State) -> State:
    time.sleep(0.8)
    return {"log": ["blocked"]}

sleeping = StateGraph(State).add_node(sleep).add_edge(START, "sleep")
waking = StateGraph(State).add_node(wake).add_edge(START, "wake")
blocking = StateGraph(State).add_node(block).add_edge(START, "block")
"""
)


def sleepy(folder: Path) -> Path:
    (folder / "own_sleep.py").write_text(SLEEPS)
    graphs = {name: f"./own_sleep.py:{name}" for name in ("sleeping", "waking", "blocking")}
    return write_project(folder, graphs)


def test_a_sync_node_does_not_block_the_loop(data_dir: Path, tmp_path: Path) -> None:
    body = {"graph": "sleeping", "input": {"log": ["in"]}, "stream_mode": "values"}
    with (
        serving(data_dir, config=sleepy(tmp_path)) as client,
        client.stream("POST", "/stream", json=body) as response,
    ):
        events = read_events(response)
        assert next(events).data == {"log": ["in"]}  # the node comes next, and sleeps
        assert invoke(client, "waking") == {"log": ["in", "woke"]}
        assert next(events).data["log"][1:] == ["True"]


def test_blocking_code_is_named_in_a_warning_once(tmp_path: Path) -> None:
    config = sleepy(tmp_path)
    with process(tmp_path / "data", "--config", str(config)) as running:
        with Client(running.url()) as client:
            for _ in range(3):
                assert invoke(client, "blocking") == {"log": ["in", "blocked"]}
        running.stop()
        named = [json.loads(line) for line in running.log if "event_loop_blocked" in line]
    line = SLEEPS.splitlines().index("    time.sleep(0.8)") + 1
    ours = [each for each in named if "own_sleep" in each["where"]]
    assert [each["where"] for each in ours] == [f"{tmp_path}/own_sleep.py:{line} in block"]
    assert ours[0]["level"] == "warning"
    assert ours[0]["doing"] == "time.sleep(0.8)"
    assert 0.25 <= ours[0]["seconds"] < PATIENCE


def test_the_warning_can_be_switched_off(tmp_path: Path) -> None:
    options = {"EVERTURN_CONFIG": str(sleepy(tmp_path)), "EVERTURN_BLOCKING_WARNING": "0"}
    with process(tmp_path / "data", **options) as running:
        with Client(running.url()) as client:
            invoke(client, "blocking")
        running.stop()
        assert not [line for line in running.log if "event_loop_blocked" in line]
