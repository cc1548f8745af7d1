"""No JSON of up to 64 kB, in any member of any body, is answered 5xx or holds the others up.

Time is compared with an ordinary run that is asked beside it, on this machine and at this moment.
"""

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service import Client, serving

LARGEST = 64_000
FACTOR = 25
"""Times an ordinary run; what was refused for it had taken 100 to 10,000 times as long."""
TRIES = 5
QUICK = 0.05
"""Seconds that are good on any machine."""
ORDINARY = {"assistant_id": "agent", "input": {"messages": "Calculate 1 + 1"}}

SAMPLES: Mapping[str, Any] = {
    "assistant_id": "agent",
    "graph_id": "agent",
    "input": {"messages": "hi"},
    "message": "hi",
    "namespace": ["a"],
    "key": "k",
    "value": {"a": 1},
    "version": 1,
    "thread_ids": [],
    "checkpoint": {},
    "schedule": "0 0 1 1 *",
    "run_ids": [],
    "thread_id": "00000000-0000-4000-8000-000000000000",
    "decisions": [{"id": "1", "type": "approve"}],
}
"""Values that bodies cannot do without."""
INSIDE = {
    "config": ("tags", "metadata", "configurable", "run_name", "unknown"),
    "input": ("messages", "unknown"),
    "values": ("messages",),
    "metadata": ("list",),
    "filter": ("list",),
}
"""Members of members that the document does not describe."""
WAITS = {"after_seconds"}
"""A number there is how long the caller asks to wait."""


class Where(NamedTuple):
    """A member of a body."""

    method: str
    path: str
    in_list: bool
    required: tuple[str, ...]
    member: tuple[str, ...]

    def body(self, document: Any) -> Any:
        """A body that is otherwise as it should be."""
        body: dict[str, Any] = {name: SAMPLES[name] for name in self.required if name in SAMPLES}
        if "input" in self.required or "assistant_id" in self.required:
            body["input"] = SAMPLES["input"]
        inner = body
        for name in self.member[:-1]:
            inner[name] = inner = {}
        inner[self.member[-1]] = document
        if self.member[0] == "command":
            body.pop("input", None)
        return [body] if self.in_list else body


def places(openapi: Mapping[str, Any]) -> Iterator[Where]:
    """All members of all bodies that are documented."""

    def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if name := schema.get("$ref"):
            schema = openapi["components"]["schemas"][str(name).rpartition("/")[2]]
        several = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        return resolved(several[0]) if several else schema

    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            with suppress(KeyError):
                content = operation["requestBody"]["content"]["application/json"]
                schema = resolved(content["schema"])
                in_list = schema.get("type") == "array"
                schema = resolved(schema["items"]) if in_list else schema
                about = (method.upper(), path, in_list, tuple(schema.get("required", ())))
                for name, member in schema["properties"].items():
                    if name not in WAITS:
                        yield Where(*about, (name,))
                    below = (*resolved(member).get("properties", ()), *INSIDE.get(name, ()))
                    yield from (Where(*about, (name, each)) for each in below)


def shapes(size: int) -> dict[str, Any]:
    """Documents of so many bytes, each nasty in its own way."""
    return {
        "many numbers": [1] * (size // 2),
        "many texts": [f"t{number}" for number in range(size // 9)],
        "the same text": ["values"] * (size // 9),
        "many keys": {f"k{number}": number for number in range(size // 15)},
        "many objects": [{"a": number} for number in range(size // 12)],
        "many empty lists": [[]] * (size // 3),
        "many floats": [1.7976931348623157e308, -0.0] * (size // 32),
        "many ids": [str(uuid4())] * (size // 39),
        "many messages": [{"role": "user", "content": "x"}] * (size // 32),
        "a long text": "a" * size,
        "a long number in text": "9" * size,
        "many words": "what is the weather in Rome and " * (size // 32),
        "many dots": "values" + ".a" * (size // 2),
        "many parentheses": "calculate " + "(" * (size // 2),
        "deep lists": _deep(size // 8, lambda inner: [inner]),
        "deep objects": _deep(min(size // 8, 500), lambda inner: {"a": inner}),
        "a tree": _deep(11, lambda inner: [inner, inner]),
        "large numbers": [2**63, -(2**63) - 1, 10**40, 1e308] * (size // 100),
    }


def _deep(levels: int, around: Any) -> Any:
    inner: Any = 1
    for _ in range(min(levels, 900)):
        inner = around(inner)
    return inner


SHAPES = tuple(shapes(LARGEST))
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
documents = st.one_of(
    st.builds(
        lambda name, share: shapes(LARGEST // share)[name],
        st.sampled_from(SHAPES),
        st.sampled_from([1, 1, 4, 50]),
    ),
    st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
)


class Beside(threading.Thread):
    """Asks for a thread again and again, and keeps the longest time that it took."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.longest = 0.0
        self.stopped = threading.Event()
        self._url = url

    def run(self) -> None:
        with Client(self._url) as client:
            while not self.stopped.wait(0.005):
                self.longest = max(self.longest, _seconds(lambda: client.get("/ok")))


class Service:
    """The service, and somebody who asks it beside each request."""

    def __init__(self, client: Client, beside: Beside) -> None:
        self.client = client
        self.beside = beside
        self.places = list(places(client.get("/openapi.json").json()))

    def judge(self, where: Where, document: Any) -> None:
        """Send a document there; fails where it is answered 5xx, or again and again too late."""
        content = json.dumps(where.body(document)).encode()
        path = self._path(where)
        seen = []
        for _ in range(TRIES):
            self.beside.longest = 0.0
            took = _seconds(lambda: self._send(where, path, content))
            held = self.beside.longest
            if max(took, held) <= QUICK:
                return
            ordinary = _seconds(lambda: self.client.post("/runs/wait", json=ORDINARY))
            if took <= FACTOR * ordinary and held <= FACTOR * ordinary:
                return
            seen.append((round(took, 2), round(held, 2), round(ordinary, 3)))
        pytest.fail(f"{where} with {content[:80]!r}… took (itself, beside, ordinary) {seen}")

    def _send(self, where: Where, path: str, content: bytes) -> None:
        json_type = {"content-type": "application/json"}
        answer = self.client.request(where.method, path, content=content, headers=json_type)
        assert answer.status_code < 500, (where, content[:200], answer.text[:500])

    def _path(self, where: Where) -> str:
        names: dict[str, str] = {"assistant_id": "agent", "run_id": str(uuid4())}
        if "{thread_id}" in where.path:
            names["thread_id"] = self.client.post("/threads", json={}).json()["thread_id"]
        if where.path.startswith("/assistants/{"):  # not the one that all runs here are of
            made = self.client.post("/assistants", json={"graph_id": "simple"})
            names["assistant_id"] = made.json()["assistant_id"]
        unknown = dict.fromkeys(("cron_id", "session_id", "memory_id"), str(uuid4()))
        return where.path.format_map({**unknown, **names})


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("any") / "data") as client, _beside(client) as beside:
        # Rows to be searched, with much in their metadata.
        for number in range(30):
            lists = {"list": [{"a": each} for each in range(number * 80)]}
            client.post("/threads", json={"metadata": lists})
            item = {"namespace": ["a"], "key": str(number), "value": lists}
            client.put("/store/items", json=item)
        yield Service(client, beside)


@contextmanager
def _beside(client: httpx.Client) -> Iterator[Beside]:
    beside = Beside(str(client.base_url))
    beside.start()
    try:
        yield beside
    finally:
        beside.stopped.set()
        beside.join()


def test_every_member_is_found(service: Service) -> None:
    found = {(where.path, where.member) for where in service.places}
    assert ("/runs/wait", ("config", "tags")) in found
    assert ("/threads/search", ("metadata", "list")) in found
    assert ("/runs/batch", ("command", "goto")) in found
    assert ("/store/items", ("value",)) in found
    assert len(found) > 200


def test_every_member_of_every_body(service: Service) -> None:
    """Each with one of the shapes, the next one next door."""
    largest = shapes(LARGEST)
    for where, name in zip(service.places, itertools.cycle(SHAPES), strict=False):
        service.judge(where, largest[name])


# It is the service that does, in its thread beside the test.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(number=st.integers(0, 10_000), document=documents)
def test_any_member_of_any_body(service: Service, number: int, document: Any) -> None:
    service.judge(service.places[number % len(service.places)], document)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("method", "path", "member"),
    [
        ("POST", "/runs/wait", ("config", "tags")),
        ("POST", "/invoke", ("config", "tags")),
        ("POST", "/threads/search", ("metadata", "list")),
        ("POST", "/store/items/search", ("filter", "list")),
        ("POST", "/api/chat/message", ("message",)),
    ],
)
def test_where_it_took_longest(
    service: Service, method: str, path: str, member: tuple[str, ...], name: str
) -> None:
    where = next(
        each
        for each in service.places
        if (each.method, each.path, each.member) == (method, path, member)
    )
    service.judge(where, shapes(LARGEST)[name])


def test_a_body_of_many_values_is_refused_before_it_is_read(data_dir: Path) -> None:
    with serving(data_dir) as client:
        for content in (b"[" + b"[]," * 300_000 + b"1]", b'{"input": [' + b"1," * 100_000 + b"1]}"):
            answer = client.post("/runs/wait", content=content)
            assert answer.status_code == 422
            assert "not have more than 100000 values" in answer.json()["detail"]
        text = json.dumps({"assistant_id": "agent", "input": {"messages": 'a,"[{\\' * 50_000}})
        assert client.post("/runs/wait", content=text).status_code == 200
        chunks = (b"[]," * 10_000 for _ in range(20))
        assert client.post("/runs/wait", content=chunks).status_code == 422
        too_large = (b" " * 100_000 for _ in range(100))
        answer = client.post("/runs/wait", content=too_large)
        assert (answer.status_code, answer.json()["type"]) == (413, "content-too-large")
