"""Which tools are called, and how their parameters are filled from a text."""

from enum import StrEnum
from typing import Any, Literal

import pytest
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from everturn.graph.offline.calls import MAX_CALLS, Tool, allowed, bound_tools, forced, plan


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Limits(BaseModel):
    most: int


@tool
def calculator(expression: str) -> str:
    """Calculate."""
    return expression


@tool
def get_weather(city: str, units: Literal["metric", "imperial"] = "metric", days: int = 1) -> str:
    """Forecast for a place under a name of its own."""
    return f"{city} {units} {days}"


@tool
def web_search(query: str, max_results: int = 5) -> str:
    """Search."""
    return f"{query} {max_results}"


@tool
def order(
    item: str,
    count: int,
    level: Level,
    price: float | None = None,
    express: bool = False,
    limits: Limits | None = None,
    tags: list[str] | None = None,
) -> str:
    """Order something."""
    return item


@tool
def now() -> str:
    """Tell the time."""
    return "now"


def _bound(*tools: BaseTool) -> list[Tool]:
    return bound_tools([convert_to_openai_tool(one) for one in tools])


ALL = _bound(calculator, get_weather, web_search, order, now)


def _calls(text: str, tools: list[Tool] = ALL) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool, call.arguments) for call in plan(text, tools).calls]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Calculate 10 * 20", [("calculator", {"expression": "10 * 20"})]),
        ("weather in Paris", [("get_weather", {"city": "Paris"})]),
        (
            "What's the weather in Paris in fahrenheit for 3 days?",
            [("get_weather", {"city": "Paris", "units": "imperial", "days": 3})],
        ),
        ("서울 날씨를 섭씨로 알려줘", [("get_weather", {"city": "서울", "units": "metric"})]),
        (
            "search for pizza, top 3 results",
            [("web_search", {"query": "pizza", "max_results": 3})],
        ),
        ("Who is Ada Lovelace?", [("web_search", {"query": "Ada Lovelace"})]),
        (
            "2 + 3 and weather in Rome and Oslo",
            [
                ("calculator", {"expression": "2 + 3"}),
                ("get_weather", {"city": "Rome"}),
                ("get_weather", {"city": "Oslo"}),
            ],
        ),
        ("What does now() say?", [("now", {})]),
        ("calculator(pow(2, 3) + 1)", [("calculator", {"expression": "pow(2, 3) + 1"})]),
        (
            'order("tea, green", 2, high, express=True, limits={"most": 3}, tags=["a", "b"])',
            [
                (
                    "order",
                    {
                        "item": "tea, green",
                        "count": 2,
                        "level": "high",
                        "express": True,
                        "limits": {"most": 3},
                        "tags": ["a", "b"],
                    },
                )
            ],
        ),
        (
            "Use the order tool with item: tea, count: 2, level: low, price: 1.5",
            [("order", {"item": "tea", "count": 2, "level": "low", "price": 1.5})],
        ),
        ("order 도구를 사용해줘", []),
        ("now 도구를 사용해줘", [("now", {})]),
        ("I know now what order means", []),
        ("hello", []),
    ],
)
def test_what_is_called(text: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert _calls(text) == calls


def test_a_tool_is_found_by_the_words_of_its_name() -> None:
    kinds = [tool.kind for tool in ALL]
    assert kinds == ["calculation", "weather", "search", None, None]
    camel = {"function": {"name": "GoogleSearch", "parameters": {"properties": {"q": {}}}}}
    assert bound_tools([camel])[0].kind == "search"
    mute = {"function": {"name": "weather"}}  # nothing to say a place in
    assert bound_tools([mute])[0].kind is None


def test_only_bound_tools_are_called() -> None:
    made = plan("Calculate 10 * 20 and search for LangGraph", _bound(web_search))
    assert [call.tool for call in made.calls] == ["web_search"]
    assert [request.kind for request in made.unserved] == ["calculation"]


def test_a_tool_of_a_provider_alone_is_left_alone() -> None:
    assert bound_tools([{"type": "web_search_preview"}]) == []


def test_what_a_named_tool_lacks_is_said_not_made_up() -> None:
    made = plan("use order with level high", ALL)
    assert made.calls == []
    assert made.lacking == {"order": ["count"]}


def test_the_calls_of_one_turn_are_bounded() -> None:
    made = plan("\n".join(f"{n} + 1" for n in range(MAX_CALLS + 3)), ALL)
    assert len(made.calls) == MAX_CALLS
    assert len(made.unserved) == 3


@pytest.mark.parametrize("choice", [None, False, "auto"])
def test_free_choice(choice: object) -> None:
    assert allowed(choice, ALL) == (ALL, False)


@pytest.mark.parametrize("choice", [True, "any", "required"])
def test_any_tool_must_be_called(choice: object) -> None:
    assert allowed(choice, ALL) == (ALL, True)


@pytest.mark.parametrize("choice", ["order", {"type": "function", "function": {"name": "order"}}])
def test_one_tool_must_be_called(choice: object) -> None:
    tools, must = allowed(choice, ALL)
    assert ([tool.name for tool in tools], must) == (["order"], True)


def test_no_tool_may_be_called() -> None:
    assert allowed("none", ALL) == ((), False)


@pytest.mark.parametrize("choice", ["no_such_tool", {"type": "function"}, 3, {}])
def test_a_choice_that_is_none(choice: object) -> None:
    with pytest.raises(ValueError, match="calculator"):
        allowed(choice, ALL)


def test_a_forced_call_prefers_what_is_asked() -> None:
    (call,) = forced("Who is Ada Lovelace?", ALL)
    assert (call.tool, call.arguments) == ("web_search", {"query": "Ada Lovelace"})


def test_a_forced_call_takes_numbers_and_quotations_in_their_order() -> None:
    (call,) = forced("I'd like 'green tea', 2 of them, in high quality", _bound(order))
    assert call.arguments == {"item": "green tea", "count": 2, "level": "high"}


def test_a_forced_call_makes_nothing_up() -> None:
    (call,) = forced("Hello!", _bound(order))
    assert call.arguments == {"item": "Hello!"}


def test_a_forced_call_prefers_a_tool_that_the_text_satisfies() -> None:
    (call,) = forced("Hello!", _bound(order, web_search))
    assert call.tool == "web_search"


def test_numbers_that_json_cannot_carry_stay_text() -> None:
    anything = {"function": {"name": "keep", "parameters": {"properties": {"a": {}, "b": {}}}}}
    assert _calls("keep(NaN, 1e999)", bound_tools([anything])) == [
        ("keep", {"a": "NaN", "b": "1e999"})
    ]


def test_a_schema_that_refers_to_itself_is_read() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "integer"}]}
    parameters = {"properties": {"node": node}, "required": ["node"], "$defs": {"Node": node}}
    tools = bound_tools([{"function": {"name": "walk", "parameters": parameters}}])
    assert _calls("walk(3)", tools) == [("walk", {"node": 3})]
    assert _calls("walk(3.0)", tools) == [("walk", {"node": 3})]
    assert _calls("walk(far)", tools) == [("walk", {"node": "far"})]  # for its validation to refuse


def making_plans(most: int = 12) -> list[Tool]:
    step = {"type": "object", "properties": {"id": {"type": "string"}}}
    steps = {"type": "array", "items": step, "minItems": 1, "maxItems": most}
    parameters = {"type": "object", "properties": {"steps": steps}, "required": ["steps"]}
    return bound_tools([{"type": "function", "function": _named("make_plan", parameters)}])


def _named(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": "", "parameters": parameters}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (
            "Compute 3*4, then the weather in Seoul, and search for cats.",
            ["Compute 3*4", "the weather in Seoul", "search for cats"],
        ),
        (
            "3*4를 계산하고 서울 날씨 알려줘, 그리고 고양이를 검색해줘",
            ["3*4를 계산하고", "서울 날씨 알려줘", "고양이를 검색해줘"],
        ),
        ("What is 15% of 80?", ["What is 15% of 80?"]),
        ("Weather in Seoul and Busan", ["Weather in Seoul and Busan"]),
    ],
)
def test_what_a_text_asks_for_becomes_a_plan(text: str, steps: list[str]) -> None:
    (call,) = plan(text, making_plans()).calls
    assert call.tool == "make_plan"
    assert call.arguments["steps"] == [
        {"id": str(number), "text": step, "depends_on": []}
        for number, step in enumerate(steps, start=1)
    ]


def test_small_talk_is_no_plan_and_a_long_list_is_cut() -> None:
    assert plan("Hello there!", making_plans()).calls == []
    text = ". ".join(f"Compute {n}+1" for n in range(1, 9))
    (call,) = plan(text, making_plans(3)).calls
    assert [step["text"] for step in call.arguments["steps"]] == [
        "Compute 1+1",
        "Compute 2+1",
        "Compute 3+1",
    ]
    assert plan(text, making_plans(3)).cut_after == 3


def test_a_specialist_is_given_its_part_of_the_words_once() -> None:
    task = {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]}
    names = ("forecaster", "mathematician", "researcher")
    team = bound_tools([{"type": "function", "function": _named(n, task)} for n in names])
    calls = plan("Weather in Seoul and Busan, and what is 2 + 2?", team).calls
    assert [(call.tool, call.arguments["task"]) for call in calls] == [
        ("forecaster", "Weather in Seoul and Busan"),
        ("mathematician", "what is 2 + 2?"),
    ]
