"""Tool calls that wait for a person: paused, approved, edited, refused, given up, and killed."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from tests.provider import KEY, FakeProvider, Reply, Request, ToolCall
from tests.service import Client, Event, process, read_events, serving

TOOLS = '''
import os
from pathlib import Path
from langchain_core.tools import tool
from everturn.tools.kit.current import idempotency_key
from everturn.tools.kit.declare import declare

JOURNAL = Path(__file__).parent / "journal"

@declare(approval=True)
@tool
def send_mail(to: str, text: str = "hi") -> str:
    """Send a mail."""
    with JOURNAL.open("a") as journal:
        journal.write(f"mail to {to}: {text} ({idempotency_key()})\\n")
    return f"sent to {to}"

@tool
def look_up(name: str) -> str:
    """Look somebody up."""
    with JOURNAL.open("a") as journal:
        journal.write(f"looked up {name}\\n")
    return f"{name}@example.org"
'''

MAIL = ToolCall("send_mail", {"to": "ada"})
LOOK = ToolCall("look_up", {"name": "bob"})

Serve = Callable[..., AbstractContextManager[Client]]


@pytest.fixture
def own_tools(tmp_path: Path) -> Path:
    folder = tmp_path / "own_tools"
    folder.mkdir()
    (folder / "mail.py").write_text(TOOLS)
    return folder


@pytest.fixture
def serve(data_dir: Path, own_tools: Path, fake_provider: FakeProvider) -> Serve:
    def start(**settings: Any) -> AbstractContextManager[Client]:
        return serving(
            data_dir,
            base_url=HttpUrl(fake_provider.url),
            openai_api_key=KEY,
            models=["model-a"],
            tool_paths=[own_tools],
            **settings,
        )

    return start


@pytest.fixture
def journal(own_tools: Path) -> Callable[[], list[str]]:
    def read() -> list[str]:
        file = own_tools / "journal"
        return file.read_text().splitlines() if file.exists() else []

    return read


Journal = Callable[[], list[str]]


def say_results(request: Request) -> str:
    """Answer with what the tools of the turn said."""
    results = []
    for message in reversed(request.messages):
        if message["role"] != "tool":
            break
        results.append(message["content"])
    return " | ".join(reversed(results)) or "no results"


def decide(client: Client, waits: dict[str, Any], *decisions: dict[str, Any]) -> Any:
    path = f"/api/chat/session/{waits['session_id']}/resume"
    return client.post(path, json={"decisions": list(decisions)})


def resume_events(client: Client, session_id: str, *decisions: dict[str, Any]) -> list[Event]:
    return client.events(
        f"/api/chat/session/{session_id}/resume/stream", {"decisions": list(decisions)}
    )


def test_nothing_runs_before_it_is_approved_and_everything_once_after(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[LOOK, MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        assert waits["status"] == "approval_required"
        assert waits["metadata"]["status"] == "interrupted"
        assert waits["response"] == ""
        (call,) = waits["calls"]
        assert (call["name"], call["args"]) == ("send_mail", {"to": "ada"})
        assert call["description"] == "Send a mail."
        assert journal() == []  # not even the sibling that needs nobody
        shown = client.get(f"/api/chat/session/{waits['session_id']}").json()
        assert shown["calls"] == [call]
        done = decide(client, waits, {"id": call["id"], "type": "approve"}).json()
        assert done["status"] == "completed"
        assert done["calls"] == []
        assert done["response"] == "bob@example.org | sent to ada"
        assert done["tools_used"] == ["look_up", "send_mail"]
        assert len(journal()) == 2
        rows = client.get(f"/api/chat/history/{waits['session_id']}").json()
        assert [row["user_message"] for row in rows] == ["mail ada"]
        assert client.get(f"/api/chat/session/{waits['session_id']}").json()["calls"] == []


def test_an_edited_call_is_made_and_remembered_as_it_was_edited(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        edit = {"id": waits["calls"][0]["id"], "type": "edit", "args": {"to": "bob", "text": "yo"}}
        done = decide(client, waits, edit).json()
        assert done["response"] == "sent to bob"
        (line,) = journal()
        assert line.startswith("mail to bob: yo (")
        messages = client.get(f"/api/chat/session/{waits['session_id']}").json()["messages"]
        (called,) = (m["tool_calls"] for m in messages if m["tool_calls"])
        assert called[0]["args"] == {"to": "bob", "text": "yo"}
    sent = fake_provider.requests[-1].messages[-2]["tool_calls"][0]["function"]
    assert json.loads(sent["arguments"]) == {"to": "bob", "text": "yo"}


def test_an_edit_that_does_not_fit_the_tool_is_refused_and_the_call_still_waits(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        session, call_id = waits["session_id"], waits["calls"][0]["id"]
        for args, says in (
            ({"whom": "bob"}, "to: Field required"),
            ({"to": "bob", "cc": "eve"}, "cc: There is no such argument; there are: to, text"),
            ({"to": ["bob"]}, "to: Input should be a valid string"),
        ):
            edit = {"id": call_id, "type": "edit", "args": args}
            for route in ("resume", "resume/stream"):
                path = f"/api/chat/session/{session}/{route}"
                answer = client.post(path, json={"decisions": [edit]})
                assert (answer.status_code, answer.json()["type"]) == (422, "invalid-input")
                assert f"{call_id!r} do not fit send_mail: {says}" in answer.json()["detail"]
        assert client.get(f"/api/chat/session/{session}").json()["calls"] == waits["calls"]
        assert journal() == []
        edit = {"id": call_id, "type": "edit", "args": {"to": "bob"}}
        assert decide(client, waits, edit).json()["response"] == "sent to bob"


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"args": {"whom": "bob"}}, "the arguments do not fit send_mail: to: Field required"),
        ({"name": "send_male", "args": {"to": "bob"}}, "there is no tool 'send_male'"),
    ],
)
def test_a_run_that_brings_a_wrong_edit_leaves_the_call_waiting(
    action: dict[str, Any],
    says: str,
    serve: Serve,
    fake_provider: FakeProvider,
    journal: Journal,
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        thread = waits["session_id"]

        def resume(action: dict[str, Any]) -> dict[str, Any]:
            resumed = {"decisions": [{"type": "edit", "edited_action": action}]}
            body = {"assistant_id": "agent", "command": {"resume": resumed}}
            found: dict[str, Any] = client.post(f"/threads/{thread}/runs/wait", json=body).json()
            return found

        assert says in resume(action)["__error__"]["message"]
        left = client.get(f"/threads/{thread}").json()
        assert left["status"] == "interrupted"
        (asked,) = next(iter(left["interrupts"].values()))
        assert asked["value"]["action_requests"][0]["args"] == {"to": "ada"}
        assert journal() == []
        done = resume({"args": {"to": "bob"}})
        assert done["messages"][-1]["content"] == "sent to bob"
    assert len(journal()) == 1


def test_of_two_calls_one_is_refused_and_the_model_reads_why(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    both = [MAIL, ToolCall("send_mail", {"to": "eve"})]
    fake_provider.script("model-a", Reply(tool_calls=both), say_results)
    with serve() as client:
        waits = client.ask("mail both")
        ada, eve = (call["id"] for call in waits["calls"])
        events = resume_events(
            client,
            waits["session_id"],
            {"id": eve, "type": "reject", "message": "not her"},
            {"id": ada, "type": "approve"},
        )
    assert events[0].name == "metadata"
    tools = {e.data["id"]: e.data for e in events if e.name == "tool"}
    assert tools[ada]["status"] == "success"
    assert (tools[eve]["status"], tools[eve]["failure"]) == ("error", "refused")
    said = "".join(e.data["content"] for e in events if e.name == "message")
    assert said.startswith("sent to ada | refused:")
    assert "not her" in said
    assert events[-1].name == "done"
    assert events[-1].data["status"] == "completed"
    assert len(journal()) == 1


def test_a_stream_ends_with_what_waits_and_goes_on_as_another(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        events = client.events("/api/chat/message/stream", {"message": "mail ada"})
        approval, done = events[-2:]
        assert (approval.name, done.name) == ("approval", "done")
        assert done.data["status"] == "interrupted"
        (call,) = approval.data["calls"]
        session_id = events[0].data["session_id"]
        events = resume_events(client, session_id, {"id": call["id"], "type": "approve"})
        assert events[-1].data["status"] == "completed"
    assert len(journal()) == 1


def test_the_settings_ask_for_tools_by_pattern(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[LOOK]), say_results)
    with serve(approve_tools=["look_*", "nowhere"]) as client:
        waits = client.ask("who is bob")
        assert [call["name"] for call in waits["calls"]] == ["look_up"]
        listed = {tool["name"]: tool for tool in client.get("/api/tools").json()["tools"]}
        assert listed["look_up"]["approval"]
        assert not listed["calculator"]["approval"]
    assert journal() == []


def test_calls_that_would_fail_anyway_ask_nobody(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    wrong = Reply(tool_calls=[ToolCall("send_mail", {"whom": "ada"})])
    fake_provider.script("model-a", wrong, say_results)
    with serve() as client:
        assert "wrong_arguments" in client.ask("mail ada")["response"]
    assert journal() == []


def test_a_new_message_gives_the_calls_up(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL, LOOK]), "never mind, then")
    with serve() as client:
        waits = client.ask("mail ada")
        done = client.ask("forget it", waits["session_id"])
        assert (done["status"], done["response"]) == ("completed", "never mind, then")
        roles = [m["role"] for m in fake_provider.requests[-1].messages[1:]]
        assert roles == ["user", "assistant", "tool", "tool", "assistant", "user"]
        assert "ancelled" in fake_provider.requests[-1].messages[3]["content"]
        late = decide(client, waits, {"id": waits["calls"][0]["id"], "type": "approve"})
        assert (late.status_code, late.json()["type"]) == (409, "nothing-waits")
    assert journal() == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"decisions": [{"id": "nobody", "type": "approve"}]}, "no call 'nobody' waits"),
    ({"decisions": []}, "decisions"),
    ({}, "either `decisions` or `answer`"),
    ({"answer": "yes"}, "give `decisions`"),
    ({"decisions": [{"id": "ID", "type": "maybe"}]}, "decisions.0.type"),
    ({"decisions": [{"id": "ID", "type": "edit"}]}, "`args` belong to `edit`"),
    ({"decisions": [{"id": "ID", "type": "approve", "args": {}}]}, "`args` belong"),
    ({"decisions": [{"id": "ID", "type": "approve"}] * 2}, "more than one"),
    ({"decisions": [{"id": "ID", "type": "approve", "x": 1}]}, "x"),
]


def test_a_wrong_decision_is_told_why_and_the_call_still_waits(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    with serve() as client:
        for done, (body, says) in enumerate(WRONG):
            fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
            waits = client.ask("mail ada")
            call_id = waits["calls"][0]["id"]
            sent = json.loads(json.dumps(body).replace('"ID"', json.dumps(call_id)))
            for route in ("resume", "resume/stream"):
                answer = client.post(f"/api/chat/session/{waits['session_id']}/{route}", json=sent)
                assert answer.status_code == 422, body
                assert answer.headers["content-type"] == "application/problem+json"
                assert says in answer.json()["detail"]
            assert len(journal()) == done, body
            answered = decide(client, waits, {"id": call_id, "type": "approve"}).json()
            assert answered["response"] == "sent to ada", body


def test_every_waiting_call_needs_a_decision(serve: Serve, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL, MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada twice")
        first, second = (call["id"] for call in waits["calls"])
        half = decide(client, waits, {"id": first, "type": "approve"})
        assert half.status_code == 422
        assert repr(second) in half.json()["detail"]


def test_the_wrong_session_and_one_where_nothing_waits(
    serve: Serve, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", "hello")
    approve = {"decisions": [{"id": "c", "type": "approve"}]}
    with serve() as client:
        nowhere = client.post("/api/chat/session/no-such/resume", json=approve)
        assert (nowhere.status_code, nowhere.json()["type"]) == (404, "session-not-found")
        fresh = client.post("/api/chat/session").json()["session_id"]
        finished = client.ask("hello")["session_id"]
        for session_id in (fresh, finished):
            for route in ("resume", "resume/stream"):
                path = f"/api/chat/session/{session_id}/{route}"
                idle = client.post(path, json=approve)
                assert (idle.status_code, idle.json()["type"]) == (409, "nothing-waits")


def test_two_who_decide_at_once_make_the_call_once(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        path = f"/api/chat/session/{waits['session_id']}/resume/stream"
        body = {"decisions": [{"id": waits["calls"][0]["id"], "type": "approve"}]}
        with client.stream("POST", path, json=body) as one:
            answer = client.post(path.removesuffix("/stream"), json=body)
            events = list(read_events(one))
        thread = client.get(f"/threads/{waits['session_id']}").json()
    assert thread["status"] == "idle"  # who came too late left no trace there
    endings = sorted([events[-1].name, str(answer.status_code)])
    assert endings in (["409", "done"], ["200", "error"])
    assert len(journal()) == 1


def test_the_turn_goes_on_with_the_choices_it_began_with(
    serve: Serve, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada", max_tokens=77, tools=["send_mail"])
        decide(client, waits, {"id": waits["calls"][0]["id"], "type": "approve"})
    before, after = fake_provider.requests
    for request in (before, after):
        assert request.body["max_tokens"] == 77
        assert list(request.tools) == ["send_mail"]


def test_langgraphs_own_clients_resume_over_invoke(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[MAIL]), say_results)
    with serve() as client:
        body = {"thread_id": "t", "input": {"messages": "mail ada"}}
        (asked,) = client.post("/invoke", json=body).json()["__interrupt__"]
        assert asked["value"]["action_requests"][0]["name"] == "send_mail"
        wrong = {"thread_id": "t", "command": {"resume": {"decisions": []}}}
        refused = client.post("/invoke", json=wrong)
        assert (refused.status_code, refused.json()["type"]) == (422, "invalid-input")
        assert "decisions" in refused.json()["detail"]
        approve = {"decisions": [{"type": "approve"}]}
        done = client.post("/invoke", json={"thread_id": "t", "command": {"resume": approve}})
        assert done.json()["messages"][-1]["content"] == "sent to ada"
    assert len(journal()) == 1


def test_what_must_be_approved_since_a_restart_is_asked_for_too(
    serve: Serve, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[LOOK, MAIL]), say_results)
    with serve() as client:
        waits = client.ask("mail ada")
        assert [call["name"] for call in waits["calls"]] == ["send_mail"]
    with serve(approve_tools=["look_up"]) as client:
        (mail,) = waits["calls"]
        edit = {"id": mail["id"], "type": "edit", "args": {"to": "bob"}}
        more = decide(client, waits, edit).json()
        assert more["status"] == "approval_required"
        (look,) = more["calls"]
        assert look["name"] == "look_up"
        assert journal() == []
        again = decide(client, waits, {"id": mail["id"], "type": "approve"})
        assert again.status_code == 422
        events = resume_events(client, waits["session_id"], {"id": look["id"], "type": "approve"})
        assert events[-1].data["status"] == "completed"
    assert [line.partition(":")[0] for line in sorted(journal())] == [
        "looked up bob",
        "mail to bob",
    ]


def test_what_waits_outlives_a_kill(
    data_dir: Path, own_tools: Path, fake_provider: FakeProvider, journal: Journal
) -> None:
    fake_provider.script("model-a", Reply(tool_calls=[LOOK, MAIL]), say_results)
    environment = {
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": "model-a",
        "EVERTURN_TOOL_PATHS": str(own_tools),
    }
    with process(data_dir, **environment) as first:
        with Client(first.url()) as client:
            waits = client.ask("mail ada", max_tokens=77)
        first.kill()
    with (
        process(data_dir, **environment) as second,
        Client(second.url()) as client,
    ):
        shown = client.get(f"/api/chat/session/{waits['session_id']}").json()
        assert shown["calls"] == waits["calls"]
        assert journal() == []
        edit = {"id": waits["calls"][0]["id"], "type": "edit", "args": {"to": "bob"}}
        done = decide(client, waits, edit).json()
        assert done["response"] == "bob@example.org | sent to bob"
        rows = client.get(f"/api/chat/history/{waits['session_id']}").json()
        assert [row["assistant_message"] for row in rows] == [done["response"]]
    assert len(journal()) == 2
    assert fake_provider.requests[-1].body["max_tokens"] == 77
