"""What a user has of a service before an upgrade, and how it goes on after it.

`live` is played on the older version, `go_on` on today's. An older version may lack a part: its
route is a 404 or a 405, and what it made is left out of what is looked at afterwards.
"""

from hashlib import sha256
from typing import Any

from tests.service import Client
from tests.waiting import eventually_sync

Json = dict[str, Any]

LATER = 20
"""Seconds until the delayed run is due: the service is stopped before that."""
LONG = "Remember this line for me. " * 300
"""Longer than what the checkpointer stores in one piece."""
YEARS = 315_360_000
SETTINGS = {
    "EVERTURN_APPROVE_TOOLS": "weather",
    "EVERTURN_SESSION_TTL": str(YEARS),
    "EVERTURN_IDEMPOTENCY_TTL": str(YEARS),
    "EVERTURN_FETCH_NETWORKS": "127.0.0.0/8",  # where the webhook goes, and nobody is
    # Of a service with a key, none of which is the machine's.
    "OPENROUTER_API_KEY": "",
    "OPENAI_API_KEY": "",
}


def live(client: Client) -> Json:
    """Make one of each thing that is kept, and return their ids."""
    made: Json = {}
    answered = client.ask("Calculate 10 * 20")
    assert "200" in answered["response"]
    made["session"] = answered["session_id"]
    waits = client.ask("What is the weather in Paris?")
    assert waits["status"] == "approval_required", waits
    made["waiting"] = {"session": waits["session_id"], "calls": waits["calls"]}

    made["thread"] = _new(client, "/threads", {"metadata": {"color": "blue"}})["thread_id"]
    for text in (LONG, "Calculate 6 * 7"):
        state = _wait(client, made["thread"], text)
    made["messages"] = _digests(state["messages"])

    made["hook"] = _new(client, "/threads", {})["thread_id"]
    _wait(client, made["hook"], "Calculate 2 * 2", webhook="http://127.0.0.1:9/done")
    made["webhook"] = client.get(f"/threads/{made['hook']}/runs").json()[0]["run_id"]
    made["webhooks"] = client.get("/api/webhooks").status_code == 200

    delayed = _new(client, "/threads", {})["thread_id"]
    body = _run("Calculate 3 * 5") | {"after_seconds": LATER}
    run = _new(client, f"/threads/{delayed}/runs", body)
    made["delayed"] = {"thread": delayed, "run": run["run_id"]}
    cron = _run("Calculate 1 + 1") | {"schedule": "0 0 1 1 *", "metadata": {"every": "year"}}
    made["cron"] = _new(client, "/runs/crons", cron)["cron_id"]

    mine = {"graph_id": "agent", "name": "Mine", "metadata": {"color": "red"}}
    made["assistant"] = _new(client, "/assistants", mine)["assistant_id"]
    item = {"namespace": ["notes", "ada"], "key": "a", "value": {"text": "green tea", "n": 1.5}}
    assert client.put("/store/items", json=item).status_code == 204
    memory = client.post("/api/memories?user=ada", json={"text": "Ada likes green tea."})
    made["memory"] = memory.json()["memory"]["id"] if memory.is_success else None

    key, body = {"Idempotency-Key": "story-1"}, {"message": "Calculate 4 * 4"}
    keyed = client.post("/api/chat/message", json=body, headers=key).json()
    made["keyed"] = keyed["run_id"] if _idempotent(client) else None
    return made


def _idempotent(client: Client) -> bool:
    operation = client.get("/openapi.json").json()["paths"]["/api/chat/message"]["post"]
    return any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", ()))


def go_on(client: Client, made: Json) -> None:
    """Look at all that there was, and go on with it."""
    assert client.get("/ready").status_code == 200
    _sessions_go_on(client, made["session"], made["waiting"])
    _threads_go_on(client, made)
    delayed = made["delayed"]
    path = f"/threads/{delayed['thread']}"
    run = eventually_sync(lambda: ended_run(client.get(f"{path}/runs/{delayed['run']}").json()))
    assert run["status"] == "success"
    assert "15" in client.get(f"{path}/state").json()["values"]["messages"][-1]["content"]

    cron = client.get(f"/runs/crons/{made['cron']}").json()
    assert (cron["schedule"], cron["metadata"]["every"]) == ("0 0 1 1 *", "year")
    mine = client.get(f"/assistants/{made['assistant']}").json()
    assert (mine["name"], mine["metadata"]["color"]) == ("Mine", "red")
    item = client.get("/store/items?namespace=notes.ada&key=a").json()
    assert item["value"] == {"text": "green tea", "n": 1.5}
    if made["memory"]:
        found = client.get("/api/memories?user=ada&query=tea").json()["memories"]
        assert [each["id"] for each in found] == [made["memory"]]
    if made["webhooks"]:
        sent = client.get("/api/webhooks").json()
        assert made["webhook"] in {each["run_id"] for each in sent}
    if made["keyed"]:  # sent again, it is answered as before
        body, key = {"message": "Calculate 4 * 4"}, {"Idempotency-Key": "story-1"}
        again = client.post("/api/chat/message", json=body, headers=key).json()
        assert again["run_id"] == made["keyed"]


def _sessions_go_on(client: Client, session: str, waiting: Json) -> None:
    turns = client.get(f"/api/chat/history/{session}").json()
    assert "200" in str(turns)
    assert "12" in client.ask("Calculate 3 * 4", session)["response"]
    state = client.get(f"/threads/{session}/state").json()["values"]["messages"]
    asked = [each["content"] for each in state if each["type"] == "human"]
    assert asked == ["Calculate 10 * 20", "Calculate 3 * 4"]

    decisions = [{"id": call["id"], "type": "approve"} for call in waiting["calls"]]
    path = f"/api/chat/session/{waiting['session']}/resume"
    resumed = client.post(path, json={"decisions": decisions})
    assert resumed.status_code == 200, resumed.text
    assert resumed.json()["status"] == "completed"
    assert "Paris" in resumed.json()["response"]


def _threads_go_on(client: Client, made: Json) -> None:
    path = f"/threads/{made['thread']}"
    found = client.post("/threads/search", json={"metadata": {"color": "blue"}}).json()
    assert [each["thread_id"] for each in found] == [made["thread"]]
    before = len(client.get(f"{path}/history?limit=100").json())
    state = _wait(client, made["thread"], "Calculate 9 * 9")
    assert _digests(state["messages"])[: len(made["messages"])] == made["messages"]
    assert "81" in state["messages"][-1]["content"]
    assert len(client.get(f"{path}/history?limit=100").json()) > before


def _digests(messages: list[Json]) -> list[list[str]]:
    """Write messages short, to be compared."""
    return [[each["id"], sha256(each["content"].encode()).hexdigest()] for each in messages]


def ended_run(run: Json) -> Json:
    """Return a run that has ended; nothing of one that has not."""
    return {} if run["status"] in {"pending", "running"} else run


def _run(text: str) -> Json:
    return {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": text}]},
    }


def _wait(client: Client, thread: str, text: str, **more: Any) -> Json:
    return _new(client, f"/threads/{thread}/runs/wait", _run(text) | more)


def _new(client: Client, path: str, body: Json) -> Json:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    made: Json = answer.json()
    return made
