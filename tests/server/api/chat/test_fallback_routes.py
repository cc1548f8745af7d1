"""Models that fail, seen through the front door: answers, events, history, and the thread."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from everturn.graph.models.breaker import Breaker
from everturn.graph.nodes import fallback_router, model
from everturn.graph.steps import choice
from tests.provider import EVERY_FAULT, KEY, FakeProvider, Fault, Offer, Reply
from tests.provider.script import FaultName
from tests.service import Client, Event, process, serving
from tests.waiting import PATIENCE, eventually_sync

pytestmark = pytest.mark.slow

CHAIN = "model-a,model-b,model-c"
KEY_FAULTS: set[int | str] = {
    401,
    402,
    403,
}  # they close more than one model: each has a test of its own
FAILURES: dict[int | str, str] = {
    400: "bad_request",
    404: "not_found",
    408: "unavailable",
    409: "unavailable",
    413: "context_too_long",
    422: "bad_request",
    429: "rate_limited",
    500: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "unavailable",
    "moderation": "moderated",
    "no_tools": "no_tool_support",
    "unknown_model": "not_found",
    "context_too_long": "context_too_long",
    "context_length_exceeded": "context_too_long",
    "silent": "timeout",
    "reset": "unreachable",
    "stall": "stalled",
    "keepalive": "stalled",
    "cut": "cut",
    "reset_in_stream": "cut",
    "error_in_200": "unavailable",
    "error_in_stream": "unavailable",
    "html": "malformed",
    "not_json": "malformed",
    "no_choices": "malformed",
    "no_finish": "cut",
    "empty": "empty",
    "content_filter": "filtered",
    "broken_tool_json": "broken_tool_call",
    "unknown_tool": "wrong_tool_call",
    "wrong_arguments": "wrong_tool_call",
}
SHOWN = {  # something was on the screen before it failed
    *("stall", "keepalive", "cut", "reset_in_stream", "error_in_stream", "no_finish"),
    "not_json",
    *("content_filter", "broken_tool_json", "unknown_tool", "wrong_arguments"),
}
TOLD = {"unknown_tool", "wrong_arguments"}  # twice, before the model is given up
TABLE: list[int | FaultName] = [fault for fault in EVERY_FAULT if fault not in KEY_FAULTS]

BUGS: list[tuple[Any, str]] = [
    (choice, "next_step"),
    (choice, "situation"),
    (fallback_router, "follow"),
    (model, "follow"),
    (model, "choose"),
    (model, "prompt_of"),
    (model, "_call"),
    (model, "_judged"),
    (model, "sign"),
    (model, "resumed"),
    (Breaker, "view"),
    (Breaker, "failed"),
    (Breaker, "succeeded"),
]


def _cut_off(where: Any, what: str) -> str:
    """The name of a model whose answer breaks off, one for each bug."""
    return f"cut/{where.__name__}.{what}"


def _failing(fault: int | str, way: str) -> str:
    """A model of its own for each case: what the breaker learns of it harms no other."""
    return f"{fault}/{way}"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        running.offer(Offer("well", context_length=1_000_000))
        for fault in TABLE:
            for way in ("message", "message/stream", "invoke", "stream"):
                running.script(_failing(fault, way), Fault(fault))
        for where, what in BUGS:
            cut = Fault("cut", reply=Reply("one two three four"), after=3)
            running.script(_cut_off(where, what), cut)
        yield running


@pytest.fixture(scope="module")
def failing(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service whose chain is well; whoever wants a failure names its model."""
    settings = {"base_url": provider.url, "models": "well", "openai_api_key": KEY}
    deadlines = {"first_token_timeout": 3.0, "stall_timeout": 3.0}
    data_dir = tmp_path_factory.mktemp("failing") / "data"
    with serving(data_dir, **settings, **deadlines) as client:
        _wait_for_catalogue(client, _failing(400, "stream"))
        yield client


def _wait_for_catalogue(client: Client, name: str) -> None:
    eventually_sync(
        lambda: name in {model["name"] for model in client.get("/api/chat/models").json()}
    )


def _steps(route: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["failure"]) for attempt in route["tried"]]


def _named(events: list[Event], name: str) -> list[Any]:
    return [event.data for event in events if event.name == name]


def _folded(events: list[Event]) -> dict[str, str]:
    """What a client has on its screen at the end, by message."""
    shown: dict[str, str] = {}
    for event in events:
        if event.name == "message":
            before = shown.get(event.data["message_id"], "")
            shown[event.data["message_id"]] = before + event.data["content"]
        elif event.name == "reset":
            taken_back = shown.pop(event.data["message_id"], "")
            assert len(taken_back) == event.data["chars"]
    return shown


def _messages(client: Client, session: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = client.get(f"/api/chat/session/{session}").json()["messages"]
    return messages


CALLS: dict[int | str, int] = {
    # A refusal that names nothing may mean what is sent by default: once more without it.
    400: 2,
    422: 2,
    # The connection was used before, and may have been stale: once more on a new one.
    "reset": 2,
}


def test_the_table_is_whole() -> None:
    assert set(FAILURES) | KEY_FAULTS == set(EVERY_FAULT)


@pytest.mark.parametrize("fault", TABLE)
def test_a_message_is_answered_whatever_fails(
    fault: int | str, failing: Client, provider: FakeProvider
) -> None:
    bad = _failing(fault, "message")
    answer = failing.ask("hello", model=bad)
    route = answer["route"]
    assert answer["response"].startswith(
        f"The result is {fault}" if fault in TOLD else "You said: hello"
    )
    assert _steps(route) == [(bad, FAILURES[fault])]
    assert (route["model"], route["mode"], route["degraded"]) == ("well", "fallback", False)
    (row,) = failing.get(f"/api/chat/history/{answer['session_id']}").json()
    assert row["metadata"]["route"] == route
    assert row["model_used"] == "well"
    assert provider.calls(bad) == CALLS.get(fault, 3 if fault in TOLD else 1)


@pytest.mark.parametrize("fault", TABLE)
def test_a_stream_ends_in_the_same_whatever_fails(fault: int | str, failing: Client) -> None:
    bad = _failing(fault, "message/stream")
    events = failing.events("/api/chat/message/stream", {"message": "hello", "model": bad})
    done = events[-1]
    assert done.name == "done"
    assert _steps(done.data["route"]) == [(bad, FAILURES[fault])]
    assert (done.data["model"], done.data["route"]["mode"]) == ("well", "fallback")
    assert _named(events, "fallback") == [{"from": bad, "to": "well", "reason": FAILURES[fault]}]
    resets = [(reset["model"], reset["reason"]) for reset in _named(events, "reset")]
    assert resets == ([(bad, FAILURES[fault])] if fault in SHOWN else [])
    session = events[0].data["session_id"]
    (row,) = failing.get(f"/api/chat/history/{session}").json()
    assert row["assistant_message"].startswith("The result" if fault in TOLD else "You said: hello")
    assert row["metadata"]["route"] == done.data["route"]
    assert list(_folded(events).values()) == [row["assistant_message"]]
    texts = [m["content"] for m in _messages(failing, session) if m["role"] == "assistant"]
    assert [text for text in texts if text] == [row["assistant_message"]]


@pytest.mark.parametrize("fault", TABLE)
def test_any_graph_s_routes_record_the_same_route(fault: int | str, failing: Client) -> None:
    asked = {"graph": "agent", "input": {"messages": "hello"}}
    bad = _failing(fault, "invoke")
    done = failing.post("/invoke", json={**asked, "context": {"model": bad}}).json()
    route = done["messages"][-1]["response_metadata"]["route"]
    assert (_steps(route), route["model"]) == ([(bad, FAILURES[fault])], "well")
    bad = _failing(fault, "stream")
    streamed = {**asked, "context": {"model": bad}, "stream_mode": ["values", "custom", "messages"]}
    events = failing.events("/stream", streamed)
    route = _named(events, "values")[-1]["messages"][-1]["response_metadata"]["route"]
    assert (_steps(route), route["model"]) == ([(bad, FAILURES[fault])], "well")
    assert {each["type"] for each in _named(events, "custom")} == (
        {"fallback", "reset"} if fault in SHOWN else {"fallback"}
    )


@pytest.mark.parametrize("fault", [401, 403])
def test_a_refused_key_is_one_call_and_leaves_nothing(
    fault: int, data_dir: Path, fake_provider: FakeProvider
) -> None:
    settings = {"base_url": fake_provider.url, "models": CHAIN}
    fake_provider.key = "sk-wrong-1"  # what refuses it is the script
    fake_provider.script("*", Fault(fault))
    with serving(data_dir, **settings, openai_api_key="sk-wrong-1") as client:
        sessions = [client.post("/api/chat/session").json()["session_id"] for _ in range(3)]
        refused = client.post(
            "/api/chat/message", json={"message": "first?", "session_id": sessions[0]}
        )
        assert fake_provider.calls() == 1
        simple = {"message": "first?", "session_id": sessions[1], "agent": "simple"}
        assert client.post("/api/chat/message", json=simple).status_code == 503
        body = {"message": "first?", "session_id": sessions[2]}
        events = client.events("/api/chat/message/stream", body)
        thread = {"graph": "agent", "thread_id": "t", "input": {"messages": "first?"}}
        invoked = client.post("/invoke", json=thread)
        streamed = client.events("/stream", {**thread, "stream_mode": "updates"})
        assert fake_provider.calls() == 1  # the key stays refused until it changes
        for session in sessions:
            assert _messages(client, session) == []
            assert client.get(f"/api/chat/history/{session}").json() == []
        metrics = client.get("/metrics").text
    assert refused.status_code == invoked.status_code == 503
    assert refused.json()["type"] == invoked.json()["type"] == "invalid-api-key"
    assert "sk-wrong-1" not in refused.text
    assert [event.name for event in events] == ["metadata", "fallback", "error"]
    assert streamed[-1].name == events[-1].name == "error"
    assert streamed[-1].data["type"] == events[-1].data["type"] == "invalid-api-key"
    assert 'model_failures_total{failure="invalid_api_key",model="model-a"}' in metrics

    fake_provider.key = "sk-right-1"
    fake_provider.script("*", "Here.")
    with serving(data_dir, **settings, openai_api_key="sk-right-1") as client:
        for session in sessions:
            assert client.ask("second?", session)["response"] == "Here."
            said = [(m["role"], m["content"]) for m in _messages(client, session)]
            assert said == [("user", "second?"), ("assistant", "Here.")]
        done = client.post("/invoke", json={**thread, "input": {"messages": "second?"}}).json()
    assert [m["content"] for m in done["messages"]] == ["second?", "Here."]


def test_without_credits_free_models_answer(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("paid", Fault(402))
    models = "paid,dear,gift:free"
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=models) as client:
        route = client.ask("hello")["route"]
    assert _steps(route) == [("paid", "payment_required")]
    assert (route["model"], fake_provider.calls("dear")) == ("gift:free", 0)


def test_a_request_that_models_refuse_leaves_nothing(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN) as client:
        session = client.ask("hello")["session_id"]
        fake_provider.script("*", Fault("moderation"))
        body = {"message": "something awful", "session_id": session}
        refused = client.post("/api/chat/message", json=body)
        events = client.events("/api/chat/message/stream", body)
        fake_provider.script("*", "And now?")
        assert client.ask("something nice", session)["response"] == "And now?"
        said = [m["content"] for m in _messages(client, session)]
    assert (refused.status_code, refused.json()["type"]) == (422, "request-refused")
    assert events[-1].data["type"] == "request-refused"
    assert said == ["hello", "You said: hello", "something nice", "And now?"]
    assert "awful" not in str(fake_provider.requests[-1].body)


@pytest.mark.parametrize("fault", [500, 429, "cut"])
def test_without_fallback_one_model_is_asked(
    fault: Any, data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Fault(fault))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN) as client:
        answer = client.ask("hello", use_fallback=False)
    assert fake_provider.calls() == 1
    assert _steps(answer["route"]) == [("model-a", FAILURES[fault])]
    assert answer["route"]["mode"] == "offline"


def test_the_offline_answer_says_so_and_when_to_come_back(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Fault(429, retry_after=60))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN) as client:
        answer = client.ask("Calculate 10 * 20")
        events = client.events("/api/chat/message/stream", {"message": "Calculate 10 * 20"})
        rows = client.get(f"/api/chat/history/{answer['session_id']}").json()
    route = answer["route"]
    assert (route["mode"], route["degraded"], route["model"]) == ("offline", True, "offline")
    assert route["reason"].startswith("HTTP 429 Too Many Requests: ")
    assert "T" in route["expected_back"]
    assert "No model can answer now" in answer["response"]
    assert "200" in answer["response"]
    assert rows[0]["metadata"]["route"] == route
    assert events[-1].data["route"]["degraded"] is True
    assert fake_provider.calls() == 3  # none for the second turn


def test_where_the_offline_answer_is_turned_off_the_caller_is_told_when_to_return(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Fault(429, retry_after=60))
    settings = {
        "base_url": fake_provider.url,
        "openai_api_key": KEY,
        "models": CHAIN,
        "offline_answer": False,
    }
    with serving(data_dir, **settings) as client:
        refused = client.post("/api/chat/message", json={"message": "hello"})
        again = client.post("/invoke", json={"input": {"messages": "hello"}})
        events = client.events("/api/chat/message/stream", {"message": "hello"})
        session = events[0].data["session_id"]
        assert _messages(client, session) == []
    for each in (refused, again):
        assert (each.status_code, each.json()["type"]) == (503, "no-model-left")
        assert 50 <= int(each.headers["retry-after"]) <= 60
    assert events[-1].name == "error"
    assert events[-1].data["type"] == "no-model-left"


def test_failed_attempts_are_paid_for_as_well(data_dir: Path, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", Fault("empty"))
    fake_provider.offer(Offer("model-a", prompt_price="0.001", completion_price="0.001"))
    fake_provider.script("model-b", Reply("Here.", cost=0.5))
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN) as client:
        answer = client.ask("hello")
        client.post("/invoke", json={"input": {"messages": "hello"}})
        metrics = client.get("/metrics").text
        (row,) = client.get(f"/api/chat/history/{answer['session_id']}").json()
    (attempt,) = answer["route"]["tried"]
    assert attempt["cost"] > 0
    assert answer["cost"] == row["cost"] == pytest.approx(0.5 + attempt["cost"])
    assert answer["cost"] == pytest.approx(answer["route"]["cost"])
    assert answer["usage"] == answer["route"]["usage"]
    assert row["tokens_used"] == answer["usage"]["total_tokens"] > attempt["usage"]["total_tokens"]
    spent = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[0] != "#")
    paid = float(spent['model_cost_dollars_total{model="model-a"}'])
    assert paid == pytest.approx(2 * attempt["cost"])
    assert float(spent['model_cost_dollars_total{model="model-b"}']) == 1.0
    assert float(spent['model_tokens_total{direction="input",model="model-a"}']) > 0
    assert float(spent['model_failures_total{failure="empty",model="model-a"}']) == 2
    requests = 'chat_requests_total{endpoint="/invoke",model="model-b",status="success"}'
    assert float(spent[requests]) == 1


@pytest.mark.parametrize("path", ["/api/chat/message/stream", "/stream"])
def test_a_client_that_leaves_closes_the_call_upstream(
    path: str, data_dir: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("*", Reply("word " * 500, between=0.05))
    asked = {"input": {"messages": "go"}, "stream_mode": "messages"}
    body = {"message": "go"} if "chat" in path else asked
    with serving(data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN) as client:
        with client.stream("POST", path, json=body) as response:
            for line in response.iter_lines():
                if line in {"event: message", "event: messages"}:
                    break
        assert fake_provider.requests[0].left.wait(PATIENCE)
    assert fake_provider.calls() == 1


def test_two_services_at_one_redis_know_the_same_dead_model(
    tmp_path: Path, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", Fault("silent"))
    url, prefix = os.environ["TEST_REDIS_URL"], f"test-{uuid4().hex}"
    environment = {
        "REDIS_URL": url,
        "EVERTURN_REDIS_PREFIX": prefix,
        "EVERTURN_BASE_URL": fake_provider.url,
        "OPENAI_API_KEY": KEY,
        "EVERTURN_MODELS": CHAIN,
        "EVERTURN_FIRST_TOKEN_TIMEOUT": "3",
    }
    try:
        with (
            process(tmp_path / "one", **environment) as one,
            process(tmp_path / "two", **environment) as two,
            Client(one.url()) as first,
            Client(two.url()) as second,
        ):
            assert _steps(first.ask("hello")["route"]) == [("model-a", "timeout")]
            route = second.ask("hello")["route"]
            circuits = {m["name"]: m["circuit"] for m in second.get("/api/chat/models").json()}
        assert (route["model"], route["tried"]) == ("model-b", [])
        assert circuits["model-a"] == "doubtful"
        assert fake_provider.calls("model-a") == 1
    finally:
        with redis.Redis.from_url(url) as store:
            for key in store.scan_iter(f"*{prefix}*"):
                store.delete(key)


@pytest.mark.parametrize(("where", "what"), BUGS)
def test_a_bug_in_the_router_costs_no_answer(
    where: Any, what: str, failing: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []
    working = getattr(where, what)

    def broken(*args: Any, **kwargs: Any) -> Any:
        if where is model and met:  # once only: the offline model needs these as well
            return working(*args, **kwargs)
        met.append(what)
        raise RuntimeError("a bug")

    monkeypatch.setattr(where, what, broken)
    body = {"message": "hello", "model": _cut_off(where, what)}
    events = failing.events("/api/chat/message/stream", body)
    session = events[0].data["session_id"]
    said = [m["content"] for m in _messages(failing, session) if m["role"] == "assistant"]
    assert met
    assert events[-1].name == "done", events[-1]
    assert list(_folded(events).values()) == said
    assert len(said) == 1


@pytest.mark.parametrize(
    ("wishes", "kind", "says"),
    [
        ({"model": "gpt-99"}, "unknown-model", "'gpt-99'"),
        ({"model": ["model-a", "gpt-99"]}, "unknown-model", "'gpt-99'"),
        ({"free_only": True}, "no-model-fits", "model-a is not free (free_only)"),
        ({"max_price": 1}, "no-model-fits", "model-a costs $2.0 a million tokens (max_price)"),
        ({"min_context": 10**6}, "no-model-fits", "model-a reads 8000 tokens (min_context)"),
        (
            {"model": "plain", "require_tools": True, "use_fallback": False},
            "no-model-fits",
            "plain takes no tools",
        ),
        ({"max_price": -1}, "invalid-request", "max_price"),
        ({"prefer": "luck"}, "invalid-request", "prefer"),
    ],
)
def test_wishes_that_cannot_be_granted_are_told(
    wishes: dict[str, Any], kind: str, says: str, wishing: Client
) -> None:
    body = {"message": "hello", **wishes}
    refusals = [
        wishing.post("/api/chat/message", json=body),
        wishing.post("/api/chat/message/stream", json=body),
    ]
    if kind != "invalid-request":
        asked = {"input": {"messages": "hello"}, "context": wishes}
        refusals += [wishing.post("/invoke", json=asked), wishing.post("/stream", json=asked)]
    for refused in refusals:
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == kind
        assert says in refused.json()["detail"]


@pytest.mark.parametrize(
    ("wishes", "answers"),
    [
        ({}, "model-a"),
        ({"model": "large"}, "large"),
        ({"model": ["plain", "model-b"]}, "model-b"),  # the agent's tools are bound
        ({"model": ["plain"], "use_tools": False}, "plain"),
        ({"max_price": 2}, "model-a"),
        ({"prefer": "cheapest"}, "model-b"),
        ({"model": "gift:free", "free_only": True}, "gift:free"),
        ({"model": "large", "min_context": 10**6}, "large"),
        ({"require_tools": True}, "model-a"),
        ({"model": "offline"}, "offline"),
    ],
)
def test_wishes_choose_the_model(wishes: dict[str, Any], answers: str, wishing: Client) -> None:
    answer = wishing.ask("hello", **wishes)
    assert answer["model"] == answer["route"]["model"] == answers
    assert answer["route"]["tried"] == []


@pytest.fixture(scope="module")
def wishing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with FakeProvider() as provider:
        dollars_a_token = 1e-6
        provider.offer(
            Offer("model-a", context_length=8000, prompt_price=f"{2 * dollars_a_token:.7f}"),
            Offer("model-b", context_length=8000, prompt_price=f"{1.5 * dollars_a_token:.7f}"),
            Offer("large", context_length=2_000_000),
            Offer("plain", supported_parameters=("max_tokens",)),
            Offer("gift:free"),
        )
        data_dir = tmp_path_factory.mktemp("wishing") / "data"
        with serving(
            data_dir, base_url=provider.url, openai_api_key=KEY, models="model-a,model-b"
        ) as client:
            _wait_for_catalogue(client, "large")
            yield client


def test_the_catalogue_tells_all_that_is_known(wishing: Client) -> None:
    wishing.ask("hello", model="model-b")
    listed = wishing.get("/api/chat/models").json()
    assert [each["name"] for each in listed][:3] == ["model-a", "model-b", "offline"]
    by_name = {each["name"]: each for each in listed}
    measured = by_name["model-b"]
    assert 0 < measured.pop("latency") < PATIENCE
    assert measured == {
        "name": "model-b",
        "configured": True,
        "tools": True,
        "pictures": False,
        "free": False,
        "context": 8000,
        "price": 1.5,
        "circuit": "closed",
        "retry_after": None,
        "failing": 0.0,
    }
    assert by_name["plain"]["tools"] is False
    assert by_name["large"]["configured"] is False
    assert by_name["gift:free"]["free"] is True


def test_a_provider_that_comes_later_is_listed_soon(
    data_dir: Path, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.server.app._CATALOGUE_RETRY_SECONDS", 0.05)
    fake_provider.offer(Offer("elsewhere"))
    with contextlib.ExitStack() as stack:
        with fake_provider.down():
            service = serving(
                data_dir, base_url=fake_provider.url, openai_api_key=KEY, models=CHAIN
            )
            client = stack.enter_context(service)
            names = {model["name"] for model in client.get("/api/chat/models").json()}
            assert "elsewhere" not in names
        _wait_for_catalogue(client, "elsewhere")
