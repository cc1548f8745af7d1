"""The chat routes through a real socket, with the offline model and with a provider."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, ToolCall
from tests.service import Client, serving
from tests.waiting import PATIENCE, eventually_sync


def test_a_session_then_a_calculation(client: Client) -> None:
    made = client.post("/api/chat/session", json={"context": {"user": "Kim"}})
    assert made.status_code == 201
    session = made.json()["session_id"]
    answer = client.ask("Calculate 10 * 20", session)
    assert answer["session_id"] == session
    assert "200" in answer["response"]
    assert answer["tools_used"] == ["calculator"]
    assert answer["model"] == "offline"
    assert answer["route"]["mode"] == "offline"
    assert answer["route"]["degraded"] is False
    assert answer["route"]["tried"] == []
    assert answer["usage"]["total_tokens"] == 0
    assert answer["metadata"]["agent"] == "agent"


def test_a_stream_says_the_same_in_pieces(client: Client) -> None:
    events = client.events("/api/chat/message/stream", {"message": "Calculate 10 * 20"})
    names = [event.name for event in events]
    assert names[0] == "metadata"
    assert names[-1] == "done"
    assert names.count("done") == 1
    assert events[0].data["agent"] == "agent"
    assert events[0].data["model"] == "offline"
    tools = [event.data for event in events if event.name == "tool"]
    assert [tool["status"] for tool in tools] == ["started", "success"]
    assert tools[0]["name"] == "calculator"
    assert tools[0]["id"] == tools[1]["id"]
    words = [event.data for event in events if event.name == "message"]
    assert len(words) > 2
    assert len({word["message_id"] for word in words}) == 1
    done = events[-1].data
    assert done["status"] == "completed"
    assert done["usage"]["total_tokens"] == 0
    text = "".join(word["content"] for word in words)
    history = client.get(f"/api/chat/history/{events[0].data['session_id']}").json()
    assert history[0]["assistant_message"] == text


def test_the_conversation_is_remembered(client: Client) -> None:
    session = client.ask("Calculate 6 * 7")["session_id"]
    client.ask("My name is Ada.", session)
    assert "Calculate 6 * 7" in client.ask("What did I ask you first?", session)["response"]
    shown = client.get(f"/api/chat/session/{session}").json()
    assert [m["content"] for m in shown["messages"] if m["role"] == "user"] == [
        "Calculate 6 * 7",
        "My name is Ada.",
        "What did I ask you first?",
    ]
    assert {m["role"] for m in shown["messages"]} == {"user", "assistant", "tool"}
    assert all(m["timestamp"] for m in shown["messages"])
    assert shown["created_at"] < shown["expires_at"]


def test_history_is_paged_and_complete(client: Client) -> None:
    session = client.ask("Calculate 1 + 1")["session_id"]
    for n in range(2, 5):
        client.ask(f"Calculate {n} + {n}", session)
    rows = client.get(f"/api/chat/history/{session}").json()
    assert [row["user_message"] for row in rows] == [f"Calculate {n} + {n}" for n in range(1, 5)]
    assert set(rows[0]) == {
        "id",
        "session_id",
        "user_message",
        "assistant_message",
        "tools_used",
        "model_used",
        "tokens_used",
        "cost",
        "created_at",
        "metadata",
    }
    newest = client.get(f"/api/chat/history/{session}", params={"limit": 3})
    assert newest.json() == rows[1:]
    assert newest.headers["x-pagination-next"] == str(rows[1]["id"])
    older = client.get(newest.links["next"]["url"])
    assert older.json() == rows[:1]
    assert "x-pagination-next" not in older.headers


def test_a_deleted_session_is_gone(client: Client) -> None:
    session = client.ask("Calculate 1 + 1")["session_id"]
    listed = client.get("/api/chat/sessions").json()
    assert session in {row["session_id"] for row in listed["sessions"]}
    assert client.delete(f"/api/chat/session/{session}").status_code == 204
    assert client.get(f"/api/chat/session/{session}").status_code == 404
    assert client.get(f"/api/chat/history/{session}").status_code == 404
    assert client.delete(f"/api/chat/session/{session}").status_code == 404
    again = client.post("/api/chat/message", json={"message": "hi", "session_id": session})
    assert again.status_code == 404


def test_deleting_a_session_ends_its_turn_and_leaves_nothing(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", "Hello.", Fault("silent"))
    settings = {"base_url": fake_provider.url, "openai_api_key": KEY, "models": "m"}
    with serving(data_dir, **settings) as client, ThreadPoolExecutor(1) as pool:
        first = client.ask("hi")
        session, run = first["session_id"], first["run_id"]
        asked = {"message": "go on", "session_id": session}
        running = pool.submit(client.post, "/api/chat/message", json=asked)
        eventually_sync(lambda: fake_provider.calls() == 2)
        assert client.delete(f"/api/chat/session/{session}").status_code == 204
        ended = running.result()
        assert ended.status_code == 409
        assert ended.json()["type"] == "run-cancelled"
        for gone in (
            f"/api/chat/session/{session}",
            f"/api/chat/history/{session}",
            f"/threads/{session}",
            f"/threads/{session}/runs/{run}",
        ):
            assert client.get(gone).status_code == 404


@pytest.mark.slow
def test_a_session_lives_as_long_as_it_is_used(data_dir: Path) -> None:
    with serving(data_dir, session_ttl=3) as client:
        session = client.ask("Calculate 1 + 1")["session_id"]
        assert client.get(f"/api/chat/session/{session}").status_code == 200
        expires = datetime.fromisoformat(
            client.get(f"/api/chat/session/{session}").json()["expires_at"]
        )
        time.sleep(max(0.0, (expires - datetime.now(UTC)).total_seconds()) + 0.1)
        assert client.get(f"/api/chat/session/{session}").status_code == 404
        assert len(client.get(f"/api/chat/history/{session}").json()) == 1
        expired = client.post("/api/chat/message", json={"message": "hi", "session_id": session})
        assert expired.status_code == 404


@pytest.mark.parametrize("agent", ["agent", "chat", "simple", "planner", "team"])
def test_each_strategy_answers(client: Client, agent: str) -> None:
    answer = client.ask("Calculate 2 + 2", agent=agent)
    uses = {"agent": ["calculator"], "planner": ["make_plan"], "team": ["mathematician"]}
    assert answer["tools_used"] == uses.get(agent, [])
    assert answer["metadata"]["agent"] == agent


def test_without_tools_none_is_called(client: Client) -> None:
    assert client.ask("Calculate 2 + 2", use_tools=False)["tools_used"] == []


def test_a_provider_brings_usage_and_cost_into_answer_and_history(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.offer(Offer("m", prompt_price="0.001", completion_price="0.002"))
    call = Reply(tool_calls=[ToolCall("calculator", {"expression": "10*20"})], cost=0.25)
    fake_provider.script("m", call, Reply("It is 200.", cost=0.5), call, Reply("200.", cost=0.5))
    with serving(data_dir, base_url=fake_provider.url, models="m", openai_api_key=KEY) as client:
        answer = client.ask("10 times 20?")
        events = client.events("/api/chat/message/stream", {"message": "10 times 20?"})
        rows = client.get(f"/api/chat/history/{answer['session_id']}").json()
    assert answer["response"] == "It is 200."
    assert answer["tools_used"] == ["calculator"]
    assert answer["cost"] == 0.75
    assert answer["route"]["mode"] == "primary"
    assert rows[0]["cost"] == 0.75
    assert rows[0]["tokens_used"] == answer["usage"]["total_tokens"] > 0
    assert rows[0]["model_used"] == "m"
    assert "".join(e.data["content"] for e in events if e.name == "message") == "200."
    assert events[-1].data["cost"] == 0.75


def test_the_offline_model_counts_no_tokens(client: Client) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    answer = client.ask("Calculate 10 * 20")
    done = client.events("/api/chat/message/stream", {"message": "hello"})[-1].data
    for found in (answer, done):
        assert (found["model"], found["usage"]) == ("offline", nothing)
    (row,) = client.get(f"/api/chat/history/{answer['session_id']}").json()
    assert (row["model_used"], row["tokens_used"], row["cost"]) == ("offline", 0, None)
    invoked = client.post("/invoke", json={"input": {"messages": "hello"}}).json()
    assert invoked["messages"][-1]["usage_metadata"] == nothing
    metrics = client.get("/metrics").text
    assert 'chat_requests_total{endpoint="/invoke",model="offline",status="success"}' in metrics
    assert "model_tokens_total{" not in metrics


def test_a_fallback_is_seen_in_the_stream(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("a", Fault("cut", reply=Reply("one two three four"), after=3))
    fake_provider.script("b", "All of it.")
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="a,b") as client:
        events = client.events("/api/chat/message/stream", {"message": "hello"})
    names = [event.name for event in events]
    assert names.index("reset") < names.index("fallback") < names.index("done")
    by_name = {event.name: event.data for event in events}
    assert by_name["metadata"]["model"] == "a"
    assert by_name["fallback"] == {"from": "a", "to": "b", "reason": by_name["reset"]["reason"]}
    assert by_name["done"]["model"] == "b"
    taken_back = by_name["reset"]["message_id"]
    kept = [e.data for e in events if e.name == "message" and e.data["message_id"] != taken_back]
    assert "".join(word["content"] for word in kept) == "All of it."


def test_the_same_model_once_more_is_a_retry_in_the_stream(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("a", Fault(503), "All of it.")
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="a") as client:
        events = client.events("/api/chat/message/stream", {"message": "hello"})
    by_name = {event.name: event.data for event in events}
    assert by_name["retry"] == {"from": "a", "to": "a", "reason": "unavailable"}
    assert "fallback" not in by_name
    assert (by_name["done"]["model"], by_name["done"]["route"]["mode"]) == ("a", "retry")


def test_a_refused_key_is_an_error_of_the_service(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.key = "right"
    settings = {"base_url": fake_provider.url, "models": "a,b", "openai_api_key": "sk-wrong"}
    with serving(data_dir, **settings) as client:
        refused = client.post("/api/chat/message", json={"message": "hello"})
        events = client.events("/api/chat/message/stream", {"message": "hello"})
    assert refused.status_code == 503
    assert refused.json()["type"] == "invalid-api-key"
    assert "sk-wrong" not in refused.text
    assert [event.name for event in events] == ["metadata", "fallback", "error"]
    assert events[-1].data["type"] == "invalid-api-key"
    assert fake_provider.calls() == 1  # the key stays refused until it changes


def test_the_models_and_how_they_stand(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("a", Fault(429, retry_after=60))
    fake_provider.script("b", "Hello.")
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="a,b") as client:
        assert client.ask("hi")["model"] == "b"
        calls = fake_provider.calls("a")
        assert client.ask("hi")["model"] == "b"
        assert fake_provider.calls("a") == calls  # nothing is spent on a model that is down
        by_name = {model["name"]: model for model in client.get("/api/chat/models").json()}
        metrics = client.get("/metrics").text
    assert by_name["a"]["circuit"] == "open"
    assert 0 < by_name["a"]["retry_after"] <= 60
    assert by_name["b"]["circuit"] == "closed"
    assert by_name["offline"]["free"] is True
    assert 'model_failures_total{failure="rate_limited",model="a"} 1.0' in metrics


def test_nobody_left_and_no_offline_answer_is_a_503(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Fault(429, retry_after=60))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="a,b") as client:
        body = {"message": "hi", "offline_answer": False}
        refused = client.post("/api/chat/message", json=body)
        offline = client.ask("hi")
    assert refused.status_code == 503
    assert refused.json()["type"] == "no-model-left"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert offline["route"]["degraded"] is True


def test_a_client_that_leaves_stops_the_model(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("m", Reply("word " * 500, between=0.05))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="m") as client:
        with client.stream("POST", "/api/chat/message/stream", json={"message": "go"}) as response:
            for line in response.iter_lines():
                if line == "event: message":
                    break
        assert fake_provider.requests[0].left.wait(PATIENCE)


def test_turns_of_one_session_run_one_after_the_other(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("m", Reply("done", first_token=0.05))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models="m") as client:
        session = client.post("/api/chat/session").json()["session_id"]
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda n: client.ask(f"number {n}", session), range(5)))
        messages = client.get(f"/api/chat/session/{session}").json()["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 5
    seen = [[m["role"] for m in request.messages] for request in fake_provider.requests]
    assert seen == [["system", *(["user", "assistant"] * n), "user"] for n in range(5)]
