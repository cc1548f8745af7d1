import json

import pytest
from langchain_core.messages import ToolMessage
from pydantic import ValidationError

from everturn.tools.calculator import calculator
from everturn.tools.providers.arithmetic import MAX_LENGTH


def test_an_answer() -> None:
    assert calculator.invoke({"expression": "10 * 20"}) == {
        "success": True,
        "result": 200,
        "expression": "10 * 20",
    }


def test_a_refusal() -> None:
    assert calculator.invoke({"expression": "1 / 0"}) == {
        "success": False,
        "error": "division by zero",
        "expression": "1 / 0",
    }


@pytest.mark.parametrize(
    ("expression", "result"), [("2 > 1", True), ("10 ^ 999", 10**999), ("1 / 3", 1 / 3)]
)
async def test_a_call_is_answered_in_json(expression: str, result: float) -> None:
    message = await calculator.ainvoke(
        {
            "type": "tool_call",
            "id": "call_1",
            "name": "calculator",
            "args": {"expression": expression},
        }
    )
    assert isinstance(message, ToolMessage)
    assert message.tool_call_id == "call_1"
    assert json.loads(str(message.content))["result"] == result


def test_an_expression_that_was_too_long_is_shown_cut() -> None:
    answer = calculator.invoke({"expression": "1+" * 10**5})
    assert answer["success"] is False
    assert len(answer["expression"]) == MAX_LENGTH


@pytest.mark.parametrize("arguments", [{}, {"expression": 5}, {"expression": None}])
def test_wrong_arguments_do_not_reach_it(arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="expression"):
        calculator.invoke(arguments)
