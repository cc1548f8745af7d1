"""What LangGraph offers beyond nodes and edges, run as LangGraph's own server runs it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import ROOT, Client, serving

PROJECT = ROOT / "tests/projects/kinds/langgraph.json"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("kinds") / "data", config=PROJECT) as client:
        yield client


class OnThread:
    """A thread, and the graph that is run on it."""

    def __init__(self, client: Client, graph: str) -> None:
        self.client = client
        self.graph = graph
        self.path = f"/threads/{client.post('/threads', json={}).json()['thread_id']}"

    def run(self, given: Any) -> Any:
        return self._wait({"input": given})

    def resume(self, answer: Any) -> Any:
        return self._wait({"command": {"resume": answer}})

    def state(self) -> Any:
        return self.client.get(f"{self.path}/state?subgraphs=true").json()

    def _wait(self, asked: Any) -> Any:
        body = {"assistant_id": self.graph, **asked}
        return self.client.post(f"{self.path}/runs/wait", json=body).json()


@pytest.mark.parametrize(
    ("graph", "inputs", "states"),
    [
        ("doubled", [[1, 2], [3]], [[2, 4], [6]]),
        (
            "summed",
            [1, 2, 3],
            [
                {"previous": None, "total": 1},
                {"previous": 1, "total": 3},
                {"previous": 3, "total": 6},
            ],
        ),
        ("f_retried", [5], [5]),
        ("deferred", [{"log": []}], [{"log": ["a", "b", "c", "last"]}]),
        (
            "cached",
            [{"given": 1}, {"given": 1}, {"given": 2}],
            [
                {"given": 1, "log": ["call 1"]},
                {"given": 1, "log": ["call 1", "call 1"]},
                {"given": 2, "log": ["call 1", "call 1", "call 2"]},
            ],
        ),
        ("retried", [{"given": 1}], [{"given": 1, "log": ["third time"]}]),
        ("parent", [{"given": 1}], [{"given": 1, "log": ["up", "other"]}]),
        ("sends", [{"given": [1, 2]}], [{"given": [1, 2], "log": ["item 1", "item 2"]}]),
        ("generator", [{"given": 1}], [{"given": 1, "log": ["two"]}]),
        ("pydantic_state", [{"name": "x"}], [{"name": "x", "count": 1, "inner": {"Model": 1}}]),
        (
            "dataclass_state",
            [{"name": "x"}, {"seen": ["q"]}],
            [
                {"name": "x", "seen": ["Data x"]},
                {"name": "x", "seen": ["Data x", "q", "Data x"]},
            ],
        ),
        ("no_messages", [{"word": "w"}], [{"word": "said"}]),
        ("sleeps", [{"given": 1}], [{"given": 1, "log": ["slept"]}]),
    ],
)
def test_runs_one_after_the_other(
    project: Client, graph: str, inputs: list[Any], states: list[Any]
) -> None:
    thread = OnThread(project, graph)
    for given, state in zip(inputs, states, strict=True):
        assert thread.run(given) == state
        found = thread.state()
        assert (found["values"], found["next"], found["tasks"]) == (state, [], [])
    assert project.get(thread.path).json()["status"] == "idle"


def test_an_entrypoint_asks_twice(project: Client) -> None:
    thread = OnThread(project, "approved")
    (asked,) = thread.run({"text": "abc"})["__interrupt__"]
    assert asked["value"] == {"ask": "abc"}
    (more,) = thread.resume("yes")["__interrupt__"]
    assert more["value"] == {"and": 6}
    assert project.get(thread.path).json()["status"] == "interrupted"
    answer = {"answer": "yes", "more": "more", "loud": 6}
    assert thread.resume("more") == answer
    assert thread.state()["values"] == answer


def test_an_entrypoint_remembers_what_it_saved(project: Client) -> None:
    thread = OnThread(project, "talks")
    for words, count in (("a", 2), ("b", 4)):
        said = thread.run({"say": words})["messages"]
        assert len(said) == count
        assert [each["type"] for each in said] == ["human", "ai"] * (count // 2)


@pytest.mark.parametrize(
    ("graph", "seen", "log"),
    [
        # The second run: a subgraph that keeps its own state across runs has its log and the
        # parent's; the others have the parent's alone.
        ("sub_shared", 3, ["2", "answered no"]),
        ("sub_kept", 5, ["4", "answered no"]),
        ("sub_none", 3, ["2", "answered no"]),
        ("sub_own", 3, ["2", "answered no"]),
    ],
)
def test_subgraphs_with_and_without_a_checkpointer(
    project: Client, graph: str, seen: int, log: list[str]
) -> None:
    thread = OnThread(project, graph)
    (asked,) = thread.run({"given": 1})["__interrupt__"]
    assert asked["value"] == {"question": 1}
    (task,) = thread.state()["tasks"]
    inner = task["state"]
    assert (inner["next"] if graph != "sub_none" else inner) == (
        ["asks"] if graph != "sub_none" else None
    )
    assert thread.resume("yes")["log"] == ["0", "answered yes"]
    (asked,) = thread.run({"given": 2})["__interrupt__"]
    assert asked["value"] == {"question": seen}
    assert thread.resume("no")["log"][-2:] == log


def test_several_interrupts_at_once(project: Client) -> None:
    thread = OnThread(project, "many")
    asked = thread.run({"given": [1, 2]})["__interrupt__"]
    waiting = {
        each["id"]: each["value"]["item"]
        for task in thread.state()["tasks"]
        for each in task["interrupts"]
    }
    assert sorted(waiting.values()) == [1, 2]
    assert {each["id"] for each in asked} <= set(waiting)
    one = next(key for key, item in waiting.items() if item == 1)
    thread.resume({one: "first"})
    state = thread.state()
    assert (state["values"]["log"], state["next"]) == (["first"], ["work"])
    assert thread.resume("second")["log"] == ["first", "second"]
