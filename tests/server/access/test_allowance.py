"""What one caller may: how it is said, and that what cannot be read is refused where it is made."""

from typing import Any

import pytest

from everturn.server.access.allowance import (
    Allowance,
    InvalidAllowance,
    allowance_of,
    read_allowance,
)
from everturn.server.access.caller import Caller, InvalidCaller, caller_of

WRONG: list[tuple[str, Any, str]] = [
    ("rate_limit", "many", "10/minute;100/day"),
    ("rate_limit", 7, "must be a valid string"),
    ("request_limit", "0/minute", "10/minute;100/day"),
    ("max_runs", 0, "must be greater than or equal to 1"),
    ("max_runs", True, "must be a valid integer"),
    ("max_tool_calls", 2.5, "must be a valid integer"),
    ("budget_day", -1, "must be greater than or equal to 0"),
    ("budget_day", float("nan"), "must be a finite number"),
    ("budget_day", float("inf"), "must be a finite number"),
    ("budget_day", "25", "must be a valid number"),
    ("tokens_day", 10**13, "must be less than or equal to 1000000000000"),
    ("tokens_day", [25], "must be a valid integer"),
    ("turn_timeout", 0, "must be greater than 0"),
    ("max_body_size", 100, "must be greater than or equal to 1024"),
]


@pytest.mark.parametrize(("name", "value", "says"), WRONG)
def test_what_cannot_be_read_lets_nobody_in(name: str, value: Any, says: str) -> None:
    with pytest.raises(InvalidCaller) as refused:
        caller_of({"identity": "eve", name: value})
    assert f"a user's {name} must be " in str(refused.value)
    assert says in str(refused.value)


def test_a_stored_caller_who_cannot_be_read_has_what_all_have() -> None:
    assert allowance_of(Caller({"identity": "eve", "rate_limit": "many"})) == Allowance()


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidCaller, match=r"max_runs must .*; tokens_day must "):
        caller_of({"identity": "eve", "max_runs": 0, "tokens_day": -1})


def test_what_is_said_of_a_caller_is_read_and_the_rest_is_not() -> None:
    amounts = {"rate_limit": "60/minute", "max_runs": 4, "budget_day": 5, "tokens_day": None}
    caller = caller_of({"identity": "eve", "max_width": -1, **amounts})
    assert allowance_of(caller) == Allowance(rate_limit="60/minute", max_runs=4, budget_day=5)
    assert allowance_of(caller).named == {"rate_limit": "60/minute", "max_runs": 4, "budget_day": 5}
    assert allowance_of(None) == allowance_of(Caller({"identity": "eve"})) == Allowance()


def test_it_says_what_is_wrong_without_what_it_is() -> None:
    with pytest.raises(InvalidAllowance) as refused:
        read_allowance(
            {"identity": "eve", "token": "hush", "rate_limit": "hush", "max_runs": "hush"}
        )
    assert "hush" not in str(refused.value)
