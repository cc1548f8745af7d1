"""Answers that have to fit a schema, through the front door: what the provider gets and is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, Request, ToolCall
from tests.service import Client, serving
from tests.waiting import eventually_sync

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
SEOUL = {"city": "Seoul", "people": 9_600_000}
GOOD = json.dumps(SEOUL)


@pytest.fixture
def client(fake_provider: FakeProvider, data_dir: Path) -> Iterator[Client]:
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a,model-b"}
    with serving(data_dir, **settings) as client:
        yield client


def _system(request: Request) -> str:
    first = request.messages[0]
    return str(first["content"]) if first["role"] == "system" else ""


def test_the_schema_is_sent_and_the_answer_parsed(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", GOOD)
    answer = client.ask("Which city?", response_schema=CITY)
    assert answer["parsed"] == SEOUL
    assert json.loads(answer["response"]) == SEOUL
    (request,) = fake_provider.requests
    sent = {"name": "answer", "schema": CITY, "strict": True}
    assert request.body["response_format"] == {"type": "json_schema", "json_schema": sent}
    assert "JSON Schema" not in _system(request)
    assert request.tools  # beside them
    state = client.get(f"/threads/{answer['session_id']}/state").json()
    assert state["values"]["messages"][-1]["response_metadata"]["parsed"] == SEOUL
    assert client.ask("And in words?", answer["session_id"])["parsed"] is None
    assert "response_format" not in fake_provider.requests[-1].body


def test_a_wrong_answer_is_corrected_once_and_leaves_no_trace(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", '{"city": 1, "people": 2}', GOOD)
    answer = client.ask("Which city?", response_schema=CITY)
    assert answer["parsed"] == SEOUL
    assert (answer["model"], answer["route"]["mode"]) == ("model-a", "retry")
    assert [each["failure"] for each in answer["route"]["tried"]] == ["schema_mismatch"]
    wrong, told = fake_provider.requests[-1].messages[-2:]
    assert (wrong["role"], wrong["content"]) == ("assistant", '{"city": 1, "people": 2}')
    assert 'city: 1 is not of type "string"' in told["content"]
    shown = client.get(f"/api/chat/session/{answer['session_id']}").json()["messages"]
    assert [message["role"] for message in shown] == ["user", "assistant"]
    counted = [each["usage"]["total_tokens"] for each in answer["route"]["tried"]]
    assert answer["usage"]["total_tokens"] > counted[0] > 0


def test_the_next_model_is_asked_when_one_does_not_deliver(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", "Seoul, of course.")
    fake_provider.script("model-b", f"```json\n{GOOD}\n```")
    answer = client.ask("Which city?", response_schema=CITY)
    assert (answer["model"], answer["parsed"]) == ("model-b", SEOUL)
    assert (fake_provider.calls("model-a"), fake_provider.calls("model-b")) == (2, 1)
    assert len(fake_provider.requests[-1].messages) == 2  # no correction of another's answer


def test_where_none_delivers_an_error_says_so(client: Client, fake_provider: FakeProvider) -> None:
    fake_provider.script("*", "Seoul, of course.")
    session = client.post("/api/chat/session", json={}).json()["session_id"]
    body = {"message": "Which?", "session_id": session, "response_schema": CITY}
    refused = client.post("/api/chat/message", json=body)
    assert (refused.status_code, refused.json()["type"]) == (503, "no-model-left")
    assert "does not fit response_schema" in refused.json()["detail"]
    assert fake_provider.calls() == 4
    alone = client.post(
        "/api/chat/message", json={**body, "use_fallback": False, "offline_answer": False}
    )
    assert alone.status_code == 503
    assert fake_provider.calls() == 6
    assert client.get(f"/api/chat/session/{session}").json()["messages"] == []


def test_words_of_a_wrong_answer_are_taken_back_in_a_stream(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", "Seoul, of course.", GOOD)
    body = {"message": "Which city?", "response_schema": CITY}
    events = client.events("/api/chat/message/stream", body)
    names = [event.name for event in events]
    assert names.index("reset") < names.index("retry")
    shown: dict[str, str] = {}
    for event in events:
        if event.name == "message":
            known = shown.get(event.data["message_id"], "")
            shown[event.data["message_id"]] = known + event.data["content"]
        elif event.name == "reset":
            shown.pop(event.data["message_id"])
    assert [json.loads(text) for text in shown.values()] == [SEOUL]
    assert events[-1].name == "done"
    assert events[-1].data["parsed"] == SEOUL


def test_a_turn_may_call_tools_before_it_answers(
    client: Client, fake_provider: FakeProvider
) -> None:
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "2 * 4800000"})])
    fake_provider.script("*", call, GOOD)
    answer = client.ask("How many are two halves of Seoul?", response_schema=CITY)
    assert (answer["parsed"], answer["tools_used"]) == (SEOUL, ["calculator"])
    assert all("response_format" in request.body for request in fake_provider.requests)


@pytest.mark.parametrize(
    "says",
    [
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported",
        "This model does not support response format `json_schema`",
        "Cannot use custom grammar constraints with tools.",
    ],
)
def test_a_model_that_refuses_the_format_is_told_in_words(
    client: Client, fake_provider: FakeProvider, says: str
) -> None:
    def strict(request: Request) -> Reply | Fault:
        return Fault(400, message=says) if "response_format" in request.body else Reply(GOOD)

    fake_provider.script("*", strict)
    for _ in range(2):
        answer = client.ask("Which city?", response_schema=CITY)
        assert (answer["parsed"], answer["route"]["tried"]) == (SEOUL, [])
    assert ["response_format" in r.body for r in fake_provider.requests] == [True, False, False]
    assert json.dumps(CITY) in _system(fake_provider.requests[-1])


@pytest.mark.parametrize(
    ("lists", "kind"),
    [
        (("tools",), None),
        (("tools", "response_format"), "json_object"),
        (("tools", "response_format", "structured_outputs"), "json_schema"),
    ],
)
def test_the_catalogue_says_what_a_model_takes(
    fake_provider: FakeProvider, data_dir: Path, lists: tuple[str, ...], kind: str | None
) -> None:
    fake_provider.offer(Offer("model-a", supported_parameters=lists), Offer("last-of-the-list"))
    fake_provider.script("model-a", GOOD)
    fake_provider.offer(Offer("model-a", supported_parameters=lists))
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a"}
    with serving(data_dir, **settings) as client:
        _wait_for_catalogue(client)
        assert client.ask("Which city?", response_schema=CITY)["parsed"] == SEOUL
    (request,) = fake_provider.requests
    assert request.body.get("response_format", {}).get("type") == kind
    assert ("JSON Schema" in _system(request)) == (kind != "json_schema")


def _wait_for_catalogue(client: Client) -> None:
    eventually_sync(lambda: "last-of-the-list" in client.get("/api/chat/models").text)


def _too_many() -> dict[str, Any]:
    twice = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    return {"$ref": "#/$defs/d0", "$defs": {**twice, "d40": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nope"}, "type"),
        ({"required": "city"}, "required"),
        ({"pattern": "("}, "regex"),
        ({"$ref": "https://example.com/schema.json"}, "leads out of it"),
        ({"$ref": "file:///etc/passwd"}, "leads out of it"),
        ({"$ref": "#/$defs/none"}, "finds no schema"),
        ({"$dynamicRef": "#x"}, "$dynamicRef is not taken"),
        ({"description": "x" * 40_000}, "at most 32768"),
        (_too_many(), "parts to check"),
    ],
)
def test_what_is_no_schema_is_refused_before_anything_is_written(
    client: Client, fake_provider: FakeProvider, schema: dict[str, Any], says: str
) -> None:
    body = {"message": "Which city?", "response_schema": schema}
    for path in ("/api/chat/message", "/api/chat/message/stream"):
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "invalid-schema")
        assert "response_schema" in refused.json()["detail"]
        assert says in refused.json()["detail"]
    run = {"graph": "agent", "input": {"messages": "hi"}, "context": {"response_schema": schema}}
    assert client.post("/invoke", json=run).json()["type"] == "invalid-schema"
    assert client.get("/api/chat/sessions").json()["total"] == 0
    assert fake_provider.calls() == 0


def test_what_is_no_object_is_refused(client: Client) -> None:
    for schema in ("object", [CITY], 5):
        body = {"message": "Which city?", "response_schema": schema}
        assert client.post("/api/chat/message", json=body).status_code == 422


def test_a_retried_request_is_answered_with_the_same_value(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", GOOD)
    body = {"message": "Which city?", "response_schema": CITY}
    headers = {"Idempotency-Key": "city-1"}
    answers = [
        client.post("/api/chat/message", json=body, headers=headers).json() for _ in range(2)
    ]
    assert [answer["parsed"] for answer in answers] == [SEOUL, SEOUL]
    assert fake_provider.calls() == 1


def test_the_offline_model_gives_its_words_or_refuses(data_dir: Path) -> None:
    words = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "source": {"type": ["string", "null"]}},
        "required": ["answer", "source"],
    }
    with serving(data_dir) as client:
        answer = client.ask("What is 15% of 80?", response_schema=words)
        assert "12" in answer["parsed"]["answer"]
        assert answer["parsed"]["source"] is None
        body = {"message": "Which city?", "response_schema": CITY}
        refused = client.post("/api/chat/message", json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "no-model-fits")
        assert "cannot fill this response_schema" in refused.json()["detail"]


def test_offline_stands_in_where_it_can_fill_the_schema(
    client: Client, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Fault(500))
    words = {"type": "object", "properties": {"answer": {"type": "string"}}}
    answer = client.ask("What is 15% of 80?", response_schema=words)
    assert answer["route"]["mode"] == "offline"
    assert "12" in answer["parsed"]["answer"]


def test_a_turn_that_waited_for_a_person_keeps_its_schema(
    fake_provider: FakeProvider, data_dir: Path
) -> None:
    asked = Reply(tool_calls=[ToolCall("calculator", {"expression": "2 * 4800000"})])
    fake_provider.script("*", asked, GOOD)
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "model-a"}
    with serving(data_dir, **settings, approve_tools=["calculator"]) as client:
        waiting = client.ask("How many?", response_schema=CITY)
        assert (waiting["status"], waiting["parsed"]) == ("approval_required", None)
        path = f"/api/chat/session/{waiting['session_id']}/resume"
        decisions = [{"id": call["id"], "type": "approve"} for call in waiting["calls"]]
        resumed = client.post(path, json={"decisions": decisions})
        assert resumed.status_code == 200, resumed.text
        assert resumed.json()["parsed"] == SEOUL
