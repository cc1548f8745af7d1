"""Two users of one service, and an operator: through LangGraph's own client and over plain HTTP."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from everturn.server.api.http.problems import IDEMPOTENCY_KEY
from tests.server.access.doors import SECRET, cron, run
from tests.server.access.own_keys import bearer, key_in, revoke_in
from tests.server.access.own_users import (
    PROJECT,
    Callers,
    Who,
    by_owner,
    callers,
    data_of_owners,
    served_by_owner,
)
from tests.service import serving
from tests.waiting import PATIENCE, eventually_sync

__all__ = ["by_owner", "callers", "data_of_owners"]


@pytest.fixture
def ada(callers: Callers) -> Who:
    return callers.new()


@pytest.fixture
def bob(callers: Callers) -> Who:
    return callers.new()


@pytest.fixture
async def sdk(
    by_owner: str, ada: Who, bob: Who
) -> AsyncIterator[tuple[LangGraphClient, LangGraphClient]]:
    clients = [get_client(url=by_owner, headers=each.headers) for each in (ada, bob)]
    yield clients[0], clients[1]
    for client in clients:
        await client.aclose()


async def test_two_users_of_the_sdk(sdk: tuple[LangGraphClient, LangGraphClient]) -> None:
    ada, bob = sdk
    thread = (await ada.threads.create())["thread_id"]
    asked: dict[str, Any] = {"assistant_id": "agent", "input": {"messages": SECRET}}
    begun = (await ada.runs.create(thread, stream_resumable=True, **asked))["run_id"]
    assert SECRET in str(await ada.runs.join(thread, begun))
    streamed = [part async for part in ada.runs.join_stream(thread, begun, last_event_id="-1")]
    assert SECRET in str(streamed)
    timed = str(dict(await ada.crons.create(schedule="0 0 1 1 *", **asked))["cron_id"])
    made = (await ada.assistants.create("agent"))["assistant_id"]
    await ada.store.put_item(("notes",), "one", {"word": SECRET})

    for others in (
        bob.threads.get(thread),
        bob.threads.get_history(thread),
        bob.threads.copy(thread),
        bob.threads.delete(thread),
        bob.runs.create(thread, **asked),
        bob.runs.wait(thread, **asked),
        bob.runs.join(thread, begun),
        bob.runs.cancel(thread, begun),
        bob.crons.update(timed, enabled=False),
        bob.crons.delete(timed),
        bob.crons.create_for_thread(thread, schedule="* * * * *", **asked),
        bob.assistants.get(made),
        bob.assistants.delete(made),
        bob.runs.wait(None, made, input={}),
    ):
        with pytest.raises((NotFoundError, httpx.HTTPStatusError)) as refused:
            await others
        assert refused.value.response.status_code == 404
    for following in (
        bob.runs.join_stream(thread, begun, last_event_id="-1"),
        await bob.threads.join_stream(thread, last_event_id="-"),
        bob.runs.stream(thread, **asked),
    ):
        with pytest.raises(NotFoundError):
            [part async for part in following]
    assert await bob.threads.search() == []
    assert await bob.crons.search() == []
    assert await bob.threads.count() == await bob.crons.count() == 0
    assert await bob.store.get_item(("notes",), "one") is None
    assert (await bob.store.search_items(()))["items"] == []
    assert (await bob.store.list_namespaces())["namespaces"] == []
    own = {each["assistant_id"] for each in await ada.assistants.search()}
    assert own - {each["assistant_id"] for each in await bob.assistants.search()} == {made}
    assert len(await ada.runs.list(thread)) == 1


def test_what_one_puts_into_the_store_is_where_one_put_it(ada: Who, bob: Who) -> None:
    item = {"namespace": ["a", "b"], "key": "k"}
    for who in (ada, bob):
        body = {**item, "value": {"of": who.identity}}
        assert who.client.put("/store/items", json=body).status_code == 204
    for who in (ada, bob):
        found = who.client.get("/store/items", params={"namespace": "a.b", "key": "k"}).json()
        assert (found["namespace"], found["value"]["of"]) == (["a", "b"], who.identity)
        listed = who.client.post("/store/namespaces", json={}).json()["namespaces"]
        assert listed == [["a", "b"]]
    assert bob.client.request("DELETE", "/store/items", json=item).status_code == 204
    assert len(ada.client.post("/store/items/search", json={}).json()["items"]) == 1


def test_what_a_graph_remembers_is_of_who_it_runs_for(ada: Who, bob: Who, callers: Callers) -> None:
    def known(who: Who, fact: str) -> list[str]:
        forged = {"configurable": {"user_id": ada.identity, "langgraph_auth_user_id": "x"}}
        body = {"graph": "memory", "input": {"fact": fact}, "config": forged}
        return list(who.client.post("/invoke", json=body).json()["known"])

    assert known(ada, "ada's") == ["ada's"]
    assert known(bob, "bob's") == ["bob's"]
    body = {"assistant_id": "memory", "input": {"fact": "more"}}
    assert ada.client.post("/runs/wait", json=body).json()["known"] == ["ada's", "more"]
    found = ada.client.post("/store/items/search", json={"namespace_prefix": ["facts"]}).json()
    assert {each["key"] for each in found["items"]} == {"ada's", "more"}
    operator, whose = callers.new(admin=True).client, {"user": ada.identity}
    lines = operator.get("/api/users/export", params=whose).text
    assert '"namespace":["facts"]' in lines
    assert "bob's" not in lines
    assert operator.delete("/api/users", params=whose).json()["store_items"] == 2
    assert known(bob, "again") == ["again", "bob's"]


def test_nobody_says_whose_something_is(ada: Who, bob: Who) -> None:
    theirs, more = {"owner": bob.identity}, {"owner": bob.identity, "more": 1}
    client = ada.client
    thread = client.post("/threads", json={"metadata": more}).json()
    assert thread["metadata"] == {"owner": ada.identity, "more": 1}
    place = f"/threads/{thread['thread_id']}"
    client.patch(place, json={"metadata": theirs})
    client.post(f"{place}/runs/wait", json=run(metadata=theirs, config={"metadata": theirs}))
    assert client.get(place).json()["metadata"]["owner"] == ada.identity
    assistant = client.post("/assistants", json={"graph_id": "agent", "metadata": theirs}).json()
    place = f"/assistants/{assistant['assistant_id']}"
    assert client.patch(place, json={"metadata": theirs}).json()["metadata"] == {
        "owner": ada.identity
    }
    timed = client.post("/runs/crons", json=cron(metadata=theirs)).json()
    place = f"/runs/crons/{timed['cron_id']}"
    for said in (theirs, {}, {"more": 1}):
        changed = client.patch(place, json={"metadata": said}).json()
        assert changed["metadata"] == {**said, "owner": ada.identity}
    changed = client.patch(place, json={"enabled": False}).json()
    assert changed["metadata"] == {"owner": ada.identity, "more": 1}
    assert bob.client.post("/threads/count", json={}).json() == 0
    assert bob.client.post("/runs/crons/count", json={}).json() == 0


def test_an_assistant_is_shown_to_nobody_by_looking_like_a_graphs(ada: Who, bob: Who) -> None:
    body = {"graph_id": "agent", "metadata": {"created_by": "system", "word": SECRET}}
    made = ada.client.post("/assistants", json=body).json()["assistant_id"]
    ada.client.patch(f"/assistants/{made}", json={"metadata": {"created_by": "system"}})
    assert bob.client.get(f"/assistants/{made}").status_code == 404
    wanted = {"metadata": {"word": SECRET}}
    assert bob.client.post("/assistants/search", json=wanted).json() == []


def test_the_assistants_of_graphs_are_everybodys_but_to_change(ada: Who, callers: Callers) -> None:
    found = ada.client.post("/assistants/search", json={}).json()
    assert {each["graph_id"] for each in found} == {"agent", "memory"}
    place = f"/assistants/{found[0]['assistant_id']}"
    assert ada.client.get(f"{place}/schemas").status_code == 200
    assert ada.client.patch(place, json={"name": "mine"}).status_code == 404
    assert ada.client.post(f"{place}/latest", json={"version": 1}).status_code == 404
    assert ada.client.delete(place).status_code == 404
    operator = callers.new(admin=True)
    assert operator.client.patch(place, json={"description": "d"}).status_code == 200


def test_an_operator_hands_over_and_takes_nothing_by_accident(
    ada: Who, bob: Who, callers: Callers
) -> None:
    operator = callers.new(admin=True)
    thread = ada.client.post("/threads", json={}).json()["thread_id"]
    place = f"/threads/{thread}"
    assert operator.client.post(f"{place}/runs/wait", json=run()).status_code == 200
    assert operator.client.patch(place, json={"metadata": {"more": 1}}).status_code == 200
    assert ada.client.get(place).json()["metadata"]["owner"] == ada.identity
    copied = operator.client.post(f"{place}/copy").json()
    assert copied["metadata"]["owner"] == operator.identity
    made = ada.client.post("/runs/crons", json=cron()).json()
    paused = operator.client.patch(
        f"/runs/crons/{made['cron_id']}", json={"enabled": False, "metadata": {"more": 1}}
    ).json()
    assert (paused["user_id"], paused["metadata"]["owner"]) == (ada.identity, ada.identity)
    operator.client.patch(place, json={"metadata": {"owner": bob.identity}})
    assert bob.client.get(f"{place}/state").status_code == 200
    assert ada.client.get(place).status_code == 404


def test_a_key_tells_nobody_what_another_asked(ada: Who, bob: Who) -> None:
    key = {IDEMPOTENCY_KEY: str(uuid4())}
    assert ada.client.post("/runs/wait", json=run(), headers=key).status_code == 200
    other = {"assistant_id": "agent", "input": {"messages": "another"}}
    answer = bob.client.post("/runs/wait", json=other, headers=key)
    assert answer.status_code == 200
    assert SECRET not in answer.text
    assert ada.client.post("/runs/wait", json=other, headers=key).status_code == 422


def test_a_run_that_waits_for_itself_is_not_found_by_others(
    ada: Who, bob: Who, tmp_path: Path
) -> None:
    thread = ada.client.post("/threads", json={}).json()["thread_id"]
    waiting = run(input={"until": str(tmp_path / "go")})
    begun = ada.client.post(f"/threads/{thread}/runs", json=waiting).json()["run_id"]
    inside = run(config={"metadata": {"run_id": begun}})
    assert ada.client.post(f"/threads/{thread}/runs", json=inside).status_code == 409
    assert bob.client.post(f"/threads/{thread}/runs", json=inside).status_code == 404
    (tmp_path / "go").touch()


def test_a_run_on_a_thread_of_its_own_is_its_callers_when_it_has_ended(ada: Who, bob: Who) -> None:
    begun = ada.client.post("/runs", json=run()).json()["run_id"]
    place = f"/runs/{begun}"
    left = {"run_id": begun, "status": "success"}
    eventually_sync(lambda: ada.client.get(place).json() == left)
    for rest in ("", "/join", "/stream"):
        answers = [
            who.client.get(f"{place}{rest}", headers={"Last-Event-ID": "-1"}) for who in (ada, bob)
        ]
        assert [each.status_code for each in answers] == [200, 404]
        assert not rest or SECRET in answers[0].text
        assert "owner" not in answers[0].text


def test_what_was_there_before_has_the_owner_of_the_settings(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, config=PROJECT) as anybody:
        thread = anybody.post("/threads", json={}).json()["thread_id"]
        anybody.post(f"/threads/{thread}/runs/wait", json=run())
        session = anybody.ask(SECRET)["session_id"]
        made = anybody.post("/assistants", json={"graph_id": "agent"}).json()["assistant_id"]
        timed = anybody.post("/runs/crons", json=cron()).json()["cron_id"]
        known = {"graph": "memory", "input": {"fact": "old"}}
        assert anybody.post("/invoke", json=known).json()["known"] == ["old"]
    places = (
        *(f"/threads/{thread}", f"/threads/{thread}/history", f"/threads/{thread}/runs"),
        *(f"/api/chat/history/{session}", f"/api/chat/session/{session}"),
        *(f"/assistants/{made}", f"/runs/crons/{timed}"),
    )

    def statuses(client: httpx.Client) -> set[int]:
        return {client.get(place).status_code for place in places}

    with served_by_owner(data) as url, closing(Callers(url, data)) as callers:
        others, operators = callers.new(identity="user-old"), callers.new(admin=True)
        assert (statuses(others.client), statuses(operators.client)) == ({404}, {200})
    with (
        served_by_owner(data, default_owner=" user-old ") as url,
        closing(Callers(url, data)) as callers,
    ):
        old = callers.new(identity="user-old").client
        new = callers.new(identity="user-new").client
        assert (statuses(old), statuses(new)) == ({200}, {404})
        assert old.post("/threads/count", json={}).json() == 2
        assert new.post("/threads/count", json={}).json() == 0
        known["input"] = {"fact": "more"}
        assert old.post("/invoke", json=known).json()["known"] == ["more", "old"]
        assert new.post("/invoke", json=known).json()["known"] == ["more"]
        assert old.get(f"/runs/crons/{timed}").json()["user_id"] == "user-old"


def test_who_follows_a_thread_by_a_key_that_is_revoked_reads_no_more(
    ada: Who, data_of_owners: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everturn.server.access.keys._FRESH_SECONDS", 0.0)
    leaked = key_in(data_of_owners, ada.identity)
    place = f"/threads/{ada.client.post('/threads', json={}).json()['thread_id']}"
    read = []

    def turn(words: str) -> None:
        body = {"assistant_id": "agent", "input": {"messages": words}}
        assert ada.client.post(f"{place}/runs/wait", json=body).is_success

    with httpx.Client(base_url=ada.client.base_url, headers=bearer(leaked)) as thief:
        with thief.stream("GET", f"{place}/stream", timeout=PATIENCE) as following:
            lines = following.iter_lines()
            turn("before")
            read += [next(line for line in lines if "before" in line)]
            revoke_in(data_of_owners, leaked)
            turn(SECRET)
            read += lines  # to the end
        assert thief.get(f"{place}/stream").status_code == 401
    assert SECRET not in "".join(read)
