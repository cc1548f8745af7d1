"""What a client sends is bounded, and who sends more is told the bound before anything is run."""

import json
from typing import Any

import pytest

from tests.service import Client

RUN = {"assistant_id": "agent", "input": {"messages": "hi"}}
THREAD = "/threads/00000000-0000-4000-8000-000000000000"
MANY = [f"t{number}" for number in range(1001)]
FEW = MANY[:101]
KEYS = dict.fromkeys(MANY, 1)
IDS = ["5e0b1f3c-6a57-4c7e-9f0c-2d8f6f3b7a10" for _ in range(1001)]
SPEECH = [{"role": "user", "content": "x"}] * 2501
WIDE = {"a": [1] * 10_000}


def of_run(**members: Any) -> dict[str, Any]:
    return {**RUN, **members}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/runs/wait", of_run(config={"tags": FEW}), "at most 100 texts"),
        ("/runs/wait", of_run(config={"tags": ["x" * 1001]}), "at most 1000 characters"),
        ("/runs/wait", of_run(config={"tags": [1.5]}), "list of at most 100 texts"),
        ("/runs/wait", of_run(config={"tags": {}}), "list of at most 100 texts"),
        ("/runs/wait", of_run(config={"run_name": "x" * 1001}), "at most 1000 characters"),
        ("/runs/wait", of_run(config={"metadata": KEYS}), "at most 1000 keys"),
        ("/runs/wait", of_run(config={"configurable": KEYS}), "at most 1000 keys"),
        ("/runs/wait", of_run(config={"configurable": WIDE}), "more than 10000 keys and values"),
        ("/runs/wait", of_run(context=KEYS), "more than 1000 keys"),
        ("/runs/wait", of_run(metadata=WIDE), "more than 10000 keys and values"),
        ("/runs/wait", of_run(stream_mode=["values"] * 101), "more than 100 entries"),
        ("/runs/wait", of_run(interrupt_before=MANY), "more than 1000 entries"),
        (
            "/runs/wait",
            of_run(interrupt_after=["x" * 1001]),
            "interrupt_after.0: String should have at most 1000 characters",
        ),
        ("/runs/wait", of_run(input={"messages": SPEECH}), "more than 2500 messages"),
        ("/runs/wait", of_run(input=None, command={"goto": MANY}), "more than 1000 entries"),
        ("/runs/wait", of_run(checkpoint={"checkpoint_map": KEYS}), "more than 100 entries"),
        ("/runs/batch", [RUN] * 1001, "more than 1000 entries"),
        ("/runs/cancel", {"thread_id": IDS[0], "run_ids": IDS}, "more than 1000 entries"),
        ("/invoke", {"input": {}, "config": {"tags": FEW}}, "more than 100 entries"),
        ("/invoke", {"input": {}, "config": {"metadata": KEYS}}, "more than 1000 keys"),
        ("/invoke", {"input": {"messages": SPEECH}}, "more than 2500 messages"),
        ("/api/chat/message", {"message": "x", "model": FEW}, "more than 100 entries"),
        ("/api/chat/message", {"message": "x", "tools": MANY}, "more than 1000 entries"),
        ("/threads", {"metadata": KEYS}, "more than 1000 keys"),
        ("/threads/search", {"metadata": {"a": MANY[:200]}}, "more than 200 keys and values"),
        ("/threads/search", {"metadata": {"a": "x" * 20_001}}, "more than 20000 characters"),
        ("/threads/count", {"values": {"a": MANY[:200]}}, "more than 200 keys and values"),
        ("/threads/search", {"ids": IDS}, "more than 1000 entries"),
        ("/threads/search", {"select": ["metadata"] * 101}, "more than 100 entries"),
        ("/threads/search", {"extract": dict.fromkeys(FEW[:11], "values")}, "than 10 entries"),
        ("/threads/prune", {"thread_ids": IDS}, "more than 1000 entries"),
        (f"{THREAD}/state", {"values": {"messages": SPEECH}}, "more than 2500 messages"),
        (f"{THREAD}/history", {"metadata": KEYS}, "more than 1000 keys"),
        ("/assistants", {"graph_id": "agent", "name": "x" * 1001}, "at most 1000 characters"),
        ("/assistants/search", {"metadata": {"a": MANY[:200]}}, "more than 200 keys and values"),
        ("/runs/crons", of_run(schedule="* " * 101), "at most 200 characters"),
        ("/runs/crons", of_run(schedule="* * * * *", timezone="x" * 101), "100 characters"),
        ("/runs/crons/search", {"metadata": {"a": MANY[:200]}}, "more than 200 keys and values"),
        ("/store/items/search", {"filter": {"a": MANY[:200]}}, "more than 200 keys and values"),
        ("/store/namespaces", {"prefix": FEW}, "more than 100 entries"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_more_is_refused(client: Client, path: str, body: Any, says: str) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid-request")
    assert says in answer.json()["detail"]


def test_as_much_is_taken(client: Client) -> None:
    kept = {"metadata": dict.fromkeys(MANY[:900], 1), "configurable": dict.fromkeys(MANY[:90], 1)}
    taken = [
        ("/runs/wait", of_run(config={"tags": FEW[:100], **kept}, interrupt_before=MANY[:1000])),
        ("/runs/wait", of_run(input={"messages": SPEECH[:1000]})),
        ("/threads/search", {"metadata": {"a": MANY[:197]}, "ids": IDS[:1000]}),
        ("/threads/count", {"values": {"a": MANY[:197]}}),
        ("/store/items/search", {"filter": {"a": MANY[:197]}}),
    ]
    for path, body in taken:
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert "__error__" not in answer.text


def test_an_answer_does_not_name_all_that_is_wrong(client: Client) -> None:
    wrong = [{"assistant_id": number} for number in range(1000)]
    answer = client.post("/runs/batch", json=wrong)
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("and 990 more")
    assert len(answer.text) < 2000


def test_a_long_origin_is_none(client: Client) -> None:
    for method in ("GET", "POST"):
        answer = client.request(method, "/ok", headers={"Origin": "http://" + "a" * 300})
        assert (answer.status_code, answer.json()["type"]) == (403, "foreign-origin")


def test_long_text_is_as_long_as_a_body(client: Client) -> None:
    answer = client.post("/threads", content=json.dumps({"metadata": {"a": "x,[{" * 500_000}}))
    assert answer.status_code == 200
