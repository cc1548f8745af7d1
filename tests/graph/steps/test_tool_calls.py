"""The calls of an answer: what becomes of what a model wrote, and which are wrong."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from pydantic import BaseModel, ConfigDict

from everturn.graph.steps.tool_calls import give_ids, misuses, take_in
from everturn.tools.kit.arguments import flaws
from everturn.tools.kit.offered import offered_name
from tests.graph.nodes.test_tools import toolbox


@tool
def echo(text: str) -> str:
    """Say it again."""
    return text


@tool("files.read/v1")
def read_file(path: str) -> str:
    """Read a file."""
    return path


def written(name: str, arguments: str, call_id: str | None = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def taken(*calls: dict[str, Any]) -> AIMessage:
    answer = AIMessage("")
    take_in(answer, calls, toolbox(echo, read_file).offer())
    return answer


def call(**args: Any) -> Any:
    return {"name": "x", "args": args, "id": "1", "type": "tool_call"}


def test_a_call_is_what_the_model_wrote_and_a_wrong_one_says_what_is_wrong() -> None:
    answer = taken(
        written("echo", '{"text": "hi"}'), written("echo", '{"text": 1180591620717411303424}')
    )
    assert [each["args"] for each in answer.tool_calls] == [{"text": "hi"}]
    (wrong,) = answer.invalid_tool_calls
    assert wrong["args"] == '{"text": "1180591620717411303424"}'
    assert str(wrong["error"]).startswith("text: the number is too large")
    assert misuses(answer, [echo])


def test_a_tool_is_called_by_the_name_it_is_offered_by_or_its_own() -> None:
    offered = offered_name("files.read/v1")
    answer = taken(
        written(offered, "{}"), written("files.read/v1", "{}"), written("made\0up", "{}")
    )
    assert [each["name"] for each in answer.tool_calls] == [
        "files.read/v1",
        "files.read/v1",
        "made\ufffdup",
    ]


def test_the_calls_of_our_own_model_are_read_as_strictly() -> None:
    answer = AIMessage("", tool_calls=[call(text=2**70), call(text="hi")])
    take_in(answer, None, toolbox(echo).offer())
    assert [each["args"] for each in answer.tool_calls] == [{"text": "hi"}]
    assert len(answer.invalid_tool_calls) == 1


def test_an_argument_that_the_tool_does_not_have_is_named() -> None:
    assert flaws(call(text="hi"), echo) is None
    assert flaws(call(text="hi", loud=True), echo) == (
        "loud: There is no such argument; there are: text"
    )


def test_a_tool_may_take_any_arguments() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    def nothing(**_: Any) -> str:
        return ""

    def of(schema: Any) -> BaseTool:
        return StructuredTool.from_function(nothing, name="x", description="y", args_schema=schema)

    assert flaws(call(anything=1), of(Open)) is None
    assert flaws(call(anything=1), of({"type": "object"})) is None
    assert flaws(call(), of({"required": ["a"]})) == "a: Field required"
    assert flaws(call(), of({"required": True})) is None  # no list, as a server may write it


@pytest.mark.parametrize("call_id", [None, "", "a", "\0", "\ud83d", "x" * 100_000])
def test_an_id_that_is_missing_used_before_or_cannot_be_kept_is_replaced(
    call_id: str | None,
) -> None:
    before: list[AnyMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[{**call(), "id": "a"}]),
    ]
    answer = AIMessage("", tool_calls=[{**call(), "id": call_id}, {**call(), "id": "b"}])
    answer.additional_kwargs["provider_specific_fields"] = {"tool_calls": {call_id: {"sign": "s"}}}
    give_ids(answer, before)
    first, second = (each["id"] for each in answer.tool_calls)
    assert (first and first != call_id, second) == (True, "b")
    # What the provider wants back with the call goes with it.
    assert answer.additional_kwargs["provider_specific_fields"]["tool_calls"] == {
        first: {"sign": "s"}
    }


def test_a_long_id_is_left_alone() -> None:
    signed = "call_1__thought__" + "c2ln" * 1000  # as LiteLLM writes them
    answer = AIMessage("", tool_calls=[{**call(), "id": signed}])
    give_ids(answer)
    assert answer.tool_calls[0]["id"] == signed
