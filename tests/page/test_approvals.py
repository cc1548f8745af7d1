"""Tool calls that wait for a person, and other questions of a graph."""

import re

import pytest

from tests.page.conftest import Open, Stage
from tests.page.screen import MARKS, Screen, expect
from tests.provider import Reply, ToolCall

pytestmark = MARKS

MAIL = ToolCall("send_mail", {"to": "ada", "text": "hello"})


@pytest.fixture
def asked(open_page: Open, stage: Stage) -> Screen:
    """A page whose model wants to send a mail."""
    stage.provider.script("model-a", Reply(tool_calls=[MAIL]), "Done.")
    screen = open_page()
    screen.say("write to ada")
    expect(screen.tab.get_by_role("region", name="A tool call waits for you")).to_be_visible()
    expect(screen.tab).to_have_title(re.compile("^● Waits for you"))
    screen.check()
    return screen


def sent(screen: Screen, stage: Stage) -> str:
    """What became of the call, as the model was told."""
    screen.answered("Done.")
    expect(screen.tab).to_have_title("Everturn")
    values = stage.client.get(f"/threads/{screen.thread}/state").json()["values"]
    return str(next(each["content"] for each in values["messages"] if each["type"] == "tool"))


def test_a_call_is_approved(asked: Screen, stage: Stage) -> None:
    asked.button("Approve").click()
    assert "sent to ada: hello" in sent(asked, stage)


def test_a_call_is_edited_by_a_form_of_the_tools_schema(asked: Screen, stage: Stage) -> None:
    waits = asked.tab.get_by_role("region", name="A tool call waits for you")
    waits.get_by_role("button", name="Edit").click()
    field = waits.get_by_label(re.compile("^to"))
    field.fill("bob")
    asked.check()
    asked.button("Call with these arguments").click()
    assert "sent to bob: hello" in sent(asked, stage)


def test_a_call_is_rejected_with_a_reason(asked: Screen, stage: Stage) -> None:
    asked.button("Reject").click()
    asked.tab.get_by_label(re.compile("^Reason")).fill("Not today.")
    asked.button("Reject the call").click()
    assert "Not today." in sent(asked, stage)


def test_a_page_that_is_loaded_again_still_asks(asked: Screen, stage: Stage) -> None:
    asked.tab.reload()
    asked.button("Approve").click()
    assert "sent to ada: hello" in sent(asked, stage)


def test_another_question_is_answered(open_page: Open) -> None:
    screen = open_page()
    screen.choose_graph("gated")
    screen.say("ask done")
    waits = screen.tab.get_by_role("region", name="The graph waits for your answer")
    waits.get_by_label("Your answer", exact=True).fill("yes")
    screen.check()
    waits.get_by_role("button", name="Answer").click()
    screen.answered("done")
    expect(waits).to_be_hidden()
