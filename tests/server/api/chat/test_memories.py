"""What is remembered, through the front door: by the tools, by the API, and whose it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import URL

from tests.checkpoints.stores import postgres_database
from tests.server.access.own_keys import bearer, key_in
from tests.service import Client, serving


@pytest.fixture(scope="module")
def postgres() -> Iterator[URL]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(postgres_database()) as url,
    ):
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    more: dict[str, Any] = {}
    if request.param == "postgres":
        url: URL = request.getfixturevalue("postgres")
        more["database_url"] = url.render_as_string(hide_password=False)
    with serving(tmp_path_factory.mktemp("memories") / "data", **more) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_is_known(client: Client) -> None:
    client.delete("/api/memories?confirm=all").raise_for_status()


def texts(client: Client, **query: Any) -> list[str]:
    answer = client.get("/api/memories", params=query)
    assert answer.status_code == 200, answer.text
    return [each["text"] for each in answer.json()["memories"]]


def remember(client: Client, text: str, **query: str) -> dict[str, Any]:
    answer = client.post("/api/memories", json={"text": text}, params=query)
    assert answer.status_code == 200, answer.text
    kept: dict[str, Any] = answer.json()
    return kept


def test_what_is_said_in_one_session_is_known_in_the_next(client: Client) -> None:
    first = client.ask("Remember that I am allergic to peanuts.")
    assert first["tools_used"] == ["remember"]
    second = client.ask("What do you know about me?")
    assert second["session_id"] != first["session_id"]
    assert "allergic to peanuts" in second["response"]
    [memory] = client.get("/api/memories").json()["memories"]
    assert memory["thread_id"] == first["session_id"]
    client.ask("Forget that I am allergic to peanuts.")
    assert texts(client) == []
    assert "nothing" in client.ask("What do you know about me?")["response"]


def test_in_korean(client: Client) -> None:
    client.ask("내가 땅콩 알레르기가 있다는 걸 기억해 줘")
    assert "땅콩 알레르기" in client.ask("나에 대해 뭘 알고 있어?")["response"]
    assert texts(client, query="땅콩")[0] == "내가 땅콩 알레르기가 있다"


def test_a_fact_is_looked_up_where_the_conversation_does_not_have_it(client: Client) -> None:
    client.ask("Remember that my name is Ada")
    assert "Ada" in client.ask("What is my name?")["response"]


def test_nearly_the_same_is_changed_and_not_doubled(client: Client) -> None:
    first = remember(client, "Her daughter Mina goes to school in Seoul.")
    again = remember(client, "her daughter Mina goes to school in Seoul")
    assert (first["change"], again["change"]) == ("new", "changed")
    assert again["memory"]["id"] == first["memory"]["id"]
    assert again["memory"]["created_at"] == first["memory"]["created_at"]
    assert remember(client, "her daughter Mina goes to school in Seoul")["change"] == "known"
    remember(client, "Her son Minho goes to school in Busan.")
    remember(client, "She weighs 80 kg.")
    remember(client, "She weighs 81 kg.")  # another number is another memory
    assert len(texts(client)) == 4


def test_words_find_it_and_the_others_come_behind(client: Client) -> None:
    for text in ("Likes green tea.", "Works at a bank.", "커피를 싫어한다."):
        remember(client, text)
    found = client.get("/api/memories", params={"query": "which tea"}).json()["memories"]
    assert found[0]["text"] == "Likes green tea."
    assert found[0]["score"] > 0
    assert [each["score"] for each in found[1:]] == [None, None]
    assert texts(client, query="커피")[0] == "커피를 싫어한다."
    pages = [texts(client, query="tea", limit=1, offset=at)[0] for at in range(3)]
    assert len(set(pages)) == 3


def test_it_is_read_changed_and_deleted_by_its_id(client: Client) -> None:
    made = remember(client, "Likes tea.")["memory"]
    path = f"/api/memories/{made['id']}"
    changed = client.patch(path, json={"text": "Likes coffee.", "kind": "preference"}).json()
    assert (changed["text"], changed["kind"]) == ("Likes coffee.", "preference")
    assert changed["created_at"] == made["created_at"]
    assert client.get(path).json() == changed
    assert texts(client, query="coffee") == ["Likes coffee."]
    assert (
        client.get("/api/memories", params={"query": "tea"}).json()["memories"][0]["score"] is None
    )
    assert client.delete(path).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        answer = client.request(method, path, json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["type"]) == (404, "memory-not-found")


def test_the_export_has_them_all(client: Client) -> None:
    for number in range(120):
        remember(client, f"Number {number}")
    lines = client.get("/api/memories/export").text.splitlines()
    assert {json.loads(line)["text"] for line in lines} == {f"Number {n}" for n in range(120)}
    assert client.delete("/api/memories?confirm=all").json() == {"deleted": 120}


def test_users_who_are_named_are_apart(client: Client) -> None:
    remember(client, "Ada likes tea.", user="ada@example.org")
    remember(client, "Bob likes beer.", user="bob")
    assert texts(client) == []
    assert texts(client, user="ada@example.org") == ["Ada likes tea."]
    body = {"graph": "agent", "context": {"user": "bob"}}
    said = client.post(
        "/invoke", json={**body, "input": {"messages": "What do you know about me?"}}
    ).json()
    assert "beer" in json.dumps(said)
    assert "tea" not in json.dumps(said)
    assert client.delete("/api/users?user=ada@example.org").json()["store_items"] == 1
    assert texts(client, user="ada@example.org") == []
    assert texts(client, user="bob") == ["Bob likes beer."]
    assert client.delete("/api/users?user=bob").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"text": "x" * 1_000_000}, 422, "invalid-request"),
        ({"text": "x" * 2_001}, 422, "invalid-memory"),
        ({"text": "   "}, 422, "invalid-memory"),
        ({"text": ""}, 422, "invalid-request"),
        ({"text": "a\0b"}, 422, "invalid-request"),
        ({"text": "x", "kind": "secret"}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_remembered(
    client: Client, body: dict[str, Any], status: int, kind: str
) -> None:
    answer = client.post("/api/memories", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert texts(client) == []


def test_a_run_may_do_without(client: Client) -> None:
    body = {"graph": "agent", "context": {"use_memory": False}}
    said = {"messages": "Remember that I like tea."}
    answer = client.post("/invoke", json={**body, "input": said}).json()
    assert "I will remember" not in json.dumps(answer)
    assert texts(client) == []


def test_there_are_only_so_many(tmp_path: Path) -> None:
    with serving(tmp_path / "data", memory_limit=2) as client:
        remember(client, "one")
        remember(client, "two")
        full = client.post("/api/memories", json={"text": "three"})
        assert (full.status_code, full.json()["type"]) == (409, "too-many-memories")
        assert remember(client, "Two!")["change"] == "changed"
        assert "memories already" in client.ask("Remember that I like tea.")["response"]
        assert len(texts(client)) == 2


def test_off_there_are_no_such_tools(tmp_path: Path) -> None:
    with serving(tmp_path / "data", memory="off") as client:
        names = {each["name"] for each in client.get("/api/tools").json()["tools"]}
        assert "calculator" in names
        assert names.isdisjoint({"remember", "recall", "forget"})
        assert client.ask("Remember that I like tea.")["tools_used"] == []


def test_callers_with_keys_never_meet(tmp_path: Path) -> None:
    with serving(tmp_path / "data", auth="on") as client:
        ada, bob = (bearer(key_in(tmp_path / "data", name, ["runs"])) for name in ("ada", "bob"))
        for headers, word in ((ada, "tea"), (bob, "beer")):
            said = {"message": f"Remember that I like {word}."}
            client.post("/api/chat/message", json=said, headers=headers).raise_for_status()
        for headers, own, other in ((ada, "tea", "beer"), (bob, "beer", "tea")):
            said = {"message": "What do you know about me?"}
            answer = client.post("/api/chat/message", json=said, headers=headers).text
            listed = client.get("/api/memories?query=like", headers=headers).text
            for text in (answer, listed):
                assert own in text
                assert other not in text
        [theirs] = client.get("/api/memories", headers=bob).json()["memories"]
        for user in ("", "?user=bob"):
            path = f"/api/memories/{theirs['id']}{user}"
            assert client.get(path, headers=ada).status_code == 404
            assert client.delete(path, headers=ada).status_code == 404
        assert len(client.get("/api/memories", headers=bob).json()["memories"]) == 1
