"""Values that cannot be run, stored or sent back: refused before anything is run or written.

And what was once stored can be read, whatever it is. On SQLite and PostgreSQL alike.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from anyio.from_thread import start_blocking_portal

from tests.checkpoints.stores import postgres_database
from tests.service import Client, serving

JSON = {"content-type": "application/json"}
HI = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("hostile") / "data"
    if request.param == "sqlite":
        with serving(folder) as client:
            yield client
        return
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(postgres_database()) as url,
        serving(folder, database_url=url.render_as_string(hide_password=False)) as client,
    ):
        yield client


@pytest.fixture
def thread(service: Client) -> str:
    thread: str = service.post("/threads", json={"metadata": {"graph_id": "agent"}}).json()[
        "thread_id"
    ]
    asked = {"assistant_id": "agent", "input": HI}
    assert service.post(f"/threads/{thread}/runs/wait", json=asked).status_code == 200
    return thread


def refused(answer: Any, *statuses: int) -> str:
    assert answer.status_code in (statuses or (422,)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


UNREADABLE = {
    "half a character": (rb'"\ud800"', "half of a surrogate pair"),
    "half a character, raw": (b'"\xed\xa0\x80"', "not UTF-8"),
    "no UTF-8": (b'"\xff"', "not UTF-8"),
    "NaN": (b"NaN", "no NaN"),
    "Infinity": (b"[-Infinity]", "no NaN"),
    "a number beyond any": (b"1e999", "no number beyond"),
    "2 ** 64": (b"18446744073709551616", "beyond 64 bits"),
    "-2 ** 63 - 1": (b"-9223372036854775809", "beyond 64 bits"),
    "5,000 digits": (b"7" * 5000, "no number beyond"),
    "700 levels": (b"[" * 700 + b"]" * 700, "deeper than 100"),
    "90,000 levels": (b'{"a":' * 90_000, "deeper than 100"),
}
PLACES = [
    ("POST", "/invoke", b'{"input": {"messages": "x", "more": %b}}'),
    ("POST", "/stream", b'{"thread_id": "t", "command": {"resume": %b}}'),
    ("POST", "/runs/wait", b'{"assistant_id": "agent", "input": %b}'),
    ("POST", "/runs", b'{"assistant_id": "agent", "input": {}, "metadata": {"a": %b}}'),
    ("POST", "/runs/batch", b'[{"assistant_id": "agent", "input": %b}]'),
    ("POST", "/runs/crons", b'{"assistant_id": "agent", "schedule": "* * * * *", "input": %b}'),
    ("POST", "/threads", b'{"metadata": {"a": %b}}'),
    ("POST", "/threads/search", b'{"values": {"a": %b}}'),
    ("POST", "/assistants", b'{"graph_id": "agent", "name": %b}'),
    ("POST", "/assistants/search", b'{"name": %b}'),
    ("PUT", "/store/items", b'{"namespace": ["a"], "key": "k", "value": {"a": %b}}'),
    ("POST", "/store/items/search", b'{"filter": {"a": %b}}'),
    ("POST", "/store/namespaces", b'{"prefix": [%b]}'),
    ("POST", "/api/chat/message", b'{"message": %b}'),
    ("POST", "/api/chat/session", b'{"context": {"a": %b}}'),
    ("POST", "/api/chat/session/x/resume", b'{"answer": %b}'),
]


@pytest.mark.parametrize(("method", "path", "body"), PLACES, ids=[path for _, path, _ in PLACES])
def test_json_that_cannot_be_kept_is_refused_everywhere(
    client: Client, method: str, path: str, body: bytes
) -> None:
    for raw, says in UNREADABLE.values():
        content = body.replace(b"%b", raw)
        detail = refused(client.request(method, path, content=content, headers=JSON))
        assert detail.startswith("body, at character "), detail
        assert says in detail


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/runs", {"assistant_id": "agent", "input": HI, "metadata": {"a": "\0"}}),
        ("/runs", {"assistant_id": "agent", "input": HI, "config": {"configurable": {"a": "\0"}}}),
        ("/runs", {"assistant_id": "agent", "input": HI, "context": {"a": ["\0"]}}),
        ("/invoke", {"input": HI, "config": {"metadata": {"\0": 1}}}),
        ("/invoke", {"input": HI, "thread_id": "a\0b"}),
        ("/invoke", {"input": HI, "thread_id": "t", "command": None, "context": {"model": "\0"}}),
        ("/assistants", {"graph_id": "agent", "name": "\0"}),
        ("/threads", {"metadata": {"a": "\0"}}),
        ("/threads/search", {"metadata": {"a": "\0"}}),
        ("/threads/count", {"values": {"\0": 1}}),
        ("/api/chat/session", {"context": {"a": "\0"}}),
        ("/api/chat/message", {"message": "x", "session_id": "\0"}),
        ("/store/items/search", {"namespace_prefix": ["\0"]}),
    ],
    ids=str,
)
def test_a_nul_that_no_database_stores(service: Client, path: str, body: Any) -> None:
    refused(service.post(path, json=body), 400, 422)


@pytest.mark.parametrize(
    "command",
    [
        {"goto": []},
        {"goto": None, "resume": None, "update": None},
        {"update": {}},
        {"update": {"messages": 5}, "goto": "model"},
        {"update": {"messages": {"type": "remove", "id": "gone"}}, "goto": "model"},
        {"goto": ["model", "model", {"node": "model", "input": {}}]},
        {"goto": {"node": "model", "input": 5}},
    ],
    ids=str,
)
def test_a_command_that_does_not_fit_is_refused(service: Client, command: Any) -> None:
    thread = str(uuid4())
    assert service.post("/invoke", json={"thread_id": thread, "input": HI}).status_code == 200
    before = service.get(f"/api/chat/session/{thread}").json()["messages"]
    refused(service.post("/invoke", json={"thread_id": thread, "command": command}))
    assert service.get(f"/api/chat/session/{thread}").json()["messages"] == before


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text"}]}, {"type": "ai", "tool_calls": "x"}],
        [{"role": "assistant", "content": "", "tool_calls": "\0"}],
        [{"role": "assistant", "content": [""], "tool_calls": [{"name": 5}]}],
        [{"type": "remove", "id": "__remove_all__"}, 5],
        {"a": 1},
        [[[]]],
        7,
    ],
    ids=str,
)
def test_messages_that_are_none_are_refused(service: Client, messages: Any) -> None:
    refused(service.post("/invoke", json={"input": {"messages": messages}}))
    asked = {"assistant_id": "agent", "input": {"messages": messages}}
    failed = service.post("/runs/wait", json=asked)
    if failed.status_code == 200:
        assert failed.json()["__error__"]["message"]
    else:
        refused(failed)


@pytest.mark.parametrize("node", ["model", "tools", "fallback_router", "offline", "stop"])
@pytest.mark.parametrize(
    "messages",
    [
        {"type": "remove", "id": "__remove_all__"},
        [{"type": "remove", "id": "gone"}],
        [5],
        {"role": "nobody", "content": None},
    ],
    ids=str,
)
def test_an_update_fits_or_is_refused(
    service: Client, thread: str, node: str, messages: Any
) -> None:
    body = {"values": {"messages": messages}, "as_node": node}
    changed = service.post(f"/threads/{thread}/state", json=body)
    if changed.status_code != 200:
        refused(changed, 400)
    assert service.get(f"/threads/{thread}/state").status_code == 200


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-02-30T00:00:00Z",
        1e300,
        {},
    ],
)
def test_a_moment_beyond_the_calendar_is_refused(service: Client, moment: Any) -> None:
    body = {"assistant_id": "agent", "input": HI, "schedule": "0 0 1 1 *", "end_time": moment}
    assert "end_time" in refused(service.post("/runs/crons", json=body))


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_moment_at_its_end_is_kept(service: Client, moment: str) -> None:
    body = {"assistant_id": "agent", "input": HI, "schedule": "0 0 1 1 *", "end_time": moment}
    made = service.post("/runs/crons", json=body)
    assert made.status_code == 200, made.text
    found = service.get(f"/runs/crons/{made.json()['cron_id']}")
    assert found.json() == made.json()
    assert service.post("/runs/crons/search", json={"sort_by": "end_time"}).status_code == 200


ODD_MESSAGE: dict[str, Any] = {
    "type": "ai",
    "content": "x",
    "id": "odd",
    "additional_kwargs": {"timestamp": {"no": "time"}},
    "response_metadata": {
        "cost": "a lot",
        "model_name": [],
        "route": {"mode": "primary", "model": "m", "tried": [{"model": {}, "failure": []}]},
    },
}


@pytest.mark.parametrize("said", ["soon", "", "2026-13-01", 5, 1e300, [], {"a": 1}, True, None])
def test_what_was_stored_once_can_be_read(service: Client, thread: str, said: Any) -> None:
    odd = {
        **ODD_MESSAGE,
        "additional_kwargs": {"timestamp": said},
        "response_metadata": {**ODD_MESSAGE["response_metadata"], "cost": said},
    }
    body = {"values": {"messages": [odd]}, "as_node": "model"}
    assert service.post(f"/threads/{thread}/state", json=body).status_code == 200
    patched = service.patch(f"/threads/{thread}", json={"metadata": {"context": said}})
    assert patched.status_code == 200
    for path in (
        f"/threads/{thread}",
        f"/threads/{thread}/state",
        f"/threads/{thread}/history",
        f"/threads/{thread}/runs",
        f"/api/chat/session/{thread}",
    ):
        answer = service.get(path)
        assert answer.status_code == 200, (path, answer.text)
        json.loads(answer.content, parse_constant=pytest.fail)
    asked = {"message": "And now?", "session_id": thread}
    answer = service.post("/api/chat/message", json=asked)
    assert answer.status_code == 200, answer.text
