"""Tool calls as models write them, through every door: the model is told, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import URL

from tests.checkpoints.stores import postgres_database
from tests.provider import FakeProvider, Reply, Request, ToolCall
from tests.provider.profile import Profile
from tests.service import Client, serving

TURN = {"messages": [{"role": "user", "content": "hi"}]}
STREAM_MODES = ["values", "updates", "messages", "messages-tuple", "tasks", "checkpoints", "debug"]

WRITTEN = {
    "large number": ('{"expression": "1", "n": 1180591620717411303424}', "n: the number is too"),
    "5000 digits": ('{"expression": "1", "n": ' + "9" * 5000 + "}", "n: the number is too"),
    "300 deep": ('{"expression": ' + "[" * 300 + "]" * 300 + "}", "nested more than"),
    "100,000 deep": ('{"expression": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested more than"),
    "NaN": ('{"expression": NaN}', "expression: NaN"),
    "infinite": ('{"expression": "1", "n": [1e999]}', "n[0]: NaN and Infinity"),
    "half a character": ('{"expression": "1\\ud83d"}', "expression: there is half a character"),
    "half in a name": ('{"expression": "1", "\\ud83d": 1}', "in its name, there is half"),
    "NUL": ('{"expression": "1\\u0000"}', "expression: there is a NUL"),
    "twice": ('{"expression": "1", "expression": "2"}', "expression: it is given more than once"),
    "megabytes": ('{"expression": "' + "1+" * 1_000_000 + '1"}', "longer than"),
    "not known": ('{"expression": "1", "precision": 2}', "precision: There is no such"),
    "null": ("null", "expression: Field required"),
    "list": ('["1"]', "not a list"),
    "text": ('"1"', "not a text"),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[URL]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(postgres_database()) as url,
    ):
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider
) -> Iterator[Client]:
    more: dict[str, Any] = {}
    if request.param == "postgres":
        url: URL = request.getfixturevalue("postgres")
        more["database_url"] = url.render_as_string(hide_password=False)
    data_dir: Path = tmp_path_factory.mktemp("calls") / "data"
    with serving(
        data_dir, base_url=provider.url, models="m", openai_api_key="sk-test", **more
    ) as c:
        yield c


def repeat_result(request: Request) -> Reply:
    """Answer with what the model was told of its call."""
    return Reply(text=f"told: {request.messages[-1]['content']}")


def by_chat(client: Client) -> str:
    answer = client.ask("hi")
    again = client.ask("again", answer["session_id"])
    assert again["response"].startswith("told:")  # the thread goes on
    rows = client.get(f"/api/chat/history/{answer['session_id']}").json()
    assert [row["user_message"] for row in rows] == ["hi", "again"]
    shown = client.get(f"/api/chat/session/{answer['session_id']}")
    assert shown.status_code == 200
    return str(answer["response"])


def by_chat_stream(client: Client) -> str:
    events = client.events("/api/chat/message/stream", {"message": "hi"})
    assert events[-1].name == "done"
    return "".join(e.data["content"] for e in events if e.name == "message")


def by_invoke(client: Client) -> str:
    done = client.post("/invoke", json={"input": TURN})
    assert done.status_code == 200, done.text
    return str(done.json()["messages"][-1]["content"])


def by_wait(client: Client) -> str:
    done = client.post("/runs/wait", json={"assistant_id": "agent", "input": TURN})
    assert done.status_code == 200, done.text
    return str(done.json()["messages"][-1]["content"])


def by_stream(client: Client) -> str:
    thread = f"/threads/{client.post('/threads', json={}).json()['thread_id']}"
    body = {"assistant_id": "agent", "input": TURN, "stream_mode": STREAM_MODES}
    events = client.events(f"{thread}/runs/stream", body)
    assert "error" not in {event.name for event in events}
    history = client.post(f"{thread}/history", json={})
    assert history.status_code == 200, history.text
    (run,) = client.get(f"{thread}/runs").json()
    assert run["status"] == "success"
    state = client.get(f"{thread}/state").json()
    return str(state["values"]["messages"][-1]["content"])


@pytest.mark.parametrize("case", WRITTEN)
def test_arguments_that_no_tool_could_take_are_said_to_the_model(
    service: Client, provider: FakeProvider, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, says = WRITTEN[case]
    size = max(6, len(arguments) // 100)  # some hundred thousand chunks would test nothing more
    monkeypatch.setattr(
        "tests.provider.profile.bits_of",
        lambda text: [text[at : at + size] for at in range(0, len(text), size)],
    )
    doors = [by_chat, by_chat_stream, by_invoke, by_wait, by_stream]
    for door in doors[: 4 if case == "megabytes" else 5]:  # the last sends them again and again
        call = Reply(tool_calls=[ToolCall("calculator", arguments)])
        provider.script("m", call, repeat_result)
        answer = door(service)
        assert answer.startswith(("told: malformed_call: ", "told: wrong_arguments: "))
        assert says in answer


@pytest.mark.parametrize("name", ["", "nul\0", "functions.calculator", "x" * 100_000])
def test_a_name_that_a_model_made_up_is_sent_in_a_form_that_providers_take(
    service: Client, provider: FakeProvider, name: str
) -> None:
    provider.script("m", Reply(tool_calls=[ToolCall(name, {})]), repeat_result)
    assert "unknown_tool: " in by_chat(service)
    (sent,) = provider.requests[-1].messages[-4]["tool_calls"] or [{}]
    assert 0 < len(sent["function"]["name"]) <= 64
    assert sent["function"]["name"].isascii()


def test_an_id_that_a_provider_gives_with_each_answer_is_the_thread_s_only_once(
    data_dir: Path, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Profile, "call_id", lambda *_: "call_0")
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "1+1"})])
    fake_provider.script("m", call, call, "done")
    with serving(
        data_dir, base_url=fake_provider.url, models="m", openai_api_key="sk-test"
    ) as client:
        client.ask("hi")
    messages = fake_provider.requests[-1].messages
    asked = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert asked == answered
    assert len({*asked}) == 2
