"""Decisions on tool calls, put as graphs take them: ours, and those that ask as LangChain does."""

from collections.abc import Mapping
from typing import Any

import pytest
from langgraph.types import Interrupt

from everturn.server.errors import InvalidInput
from everturn.server.resources.approvals import Decision, answer_with, decided_in

EDIT = Decision("0", "edit", {"whom": "bob"})


def flaws(name: str, args: Mapping[str, Any]) -> str | None:
    return f"{name}: {sorted(args)}"


def asking(**about: Any) -> Interrupt[Any]:
    return Interrupt({"action_requests": [{"name": "mail", "args": {}, **about}]}, "i")


def test_an_edit_is_checked_against_our_own_tool() -> None:
    with pytest.raises(InvalidInput, match=r"'0' do not fit mail: mail: \['whom'\]"):
        answer_with(asking(id="0"), [EDIT], flaws)
    approve = Decision("0", "approve")
    assert answer_with(asking(id="0"), [approve], flaws)["decisions"][0]["type"] == "approve"


def test_a_graph_without_ids_has_tools_of_its_own() -> None:
    """A tool of ours with the same name says nothing about them."""
    (put,) = answer_with(asking(), [EDIT], flaws)["decisions"]
    assert put["edited_action"] == {"name": "mail", "args": {"whom": "bob"}}


def test_of_several_that_wait_the_decided_one_is_answered() -> None:
    one, other, question = asking(id="1"), asking(id="2"), Interrupt("How?", "q")
    for order in ([one, other, question], [question, other, one]):
        assert decided_in(order, [Decision("1", "approve")]) is one
        assert decided_in(order, [Decision("2", "approve")]) is other
    assert decided_in([question, one, other], [Decision("?", "approve")]) is one
    assert decided_in([question], [Decision("1", "approve")]) is None
