"""The embedded Valkey: real processes, really killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from checkpoints import embedded
from checkpoints.embedded import open_embedded
from checkpoints.errors import StoreMisconfigured, StoreUnavailable
from tests.service import ROOT

OWN = """
import asyncio, pathlib, sys
from checkpoints.embedded import open_embedded
async def main():
    async with open_embedded(pathlib.Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def _client(url: str) -> Redis:
    """A client that waits out a restart."""
    patient = Retry(ConstantBackoff(0.02), 250)
    return Redis.from_url(url, retry=patient, retry_on_error=[RedisConnectionError, OSError])


async def _pid(client: Redis) -> int:
    return int((await client.info("server"))["process_id"])


@contextmanager
def _owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that opens the folder, with the URL it got."""
    command = [sys.executable, "-c", OWN, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.kill()


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


async def _until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while not _is_gone(pid):
            await asyncio.sleep(0.01)


@pytest.fixture(params=["data", 'with space \'and "quotes" ünd *', "long/" + "x" * 120])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made: Path = tmp_path / request.param
    made.mkdir(parents=True)
    return made


async def test_it_starts_keeps_and_ends(folder: Path) -> None:
    async with open_embedded(folder) as url, _client(url) as client:
        pid = await _pid(client)
        await client.set("key", "kept")
        assert (await client.config_get("port"))["port"] == "0"
        assert (await client.config_get("appendfsync"))["appendfsync"] == "everysec"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
    assert _is_gone(pid)
    async with open_embedded(folder) as url, _client(url) as client:
        assert await client.get("key") == b"kept"


async def test_a_killed_server_is_started_again_with_its_data(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as url, _client(url) as client:
        first = await _pid(client)
        await client.set("key", "kept")
        os.kill(first, signal.SIGKILL)
        assert await client.get("key") == b"kept"
        assert await _pid(client) != first


async def test_a_killed_owner_takes_its_server_along_and_loses_nothing(tmp_path: Path) -> None:
    with _owner(tmp_path) as (owner, url):
        async with _client(url) as client:
            pid = await _pid(client)
            await client.set("key", "kept")
        owner.kill()
        owner.wait()
    await _until_gone(pid)
    async with open_embedded(tmp_path) as url, _client(url) as client:
        assert await client.get("key") == b"kept"


async def test_the_second_attaches_and_takes_over(tmp_path: Path) -> None:
    with _owner(tmp_path) as (owner, owners_url):
        async with open_embedded(tmp_path) as url, _client(url) as client:
            assert url == owners_url
            first = await _pid(client)
            await client.set("key", "kept")
            owner.kill()
            owner.wait()
            assert await client.get("key") == b"kept"
            second = await _pid(client)
            assert second != first
        assert _is_gone(second)


async def test_an_orphan_is_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_death_signal = OWN.replace(
        "async def main", 'embedded.sys = type("S", (), {"platform": "other"})\nasync def main'
    ).replace(
        "from checkpoints.embedded", "from checkpoints import embedded\nfrom checkpoints.embedded"
    )
    monkeypatch.setattr(sys.modules[__name__], "OWN", without_death_signal)
    with _owner(tmp_path) as (owner, url):
        async with _client(url) as client:
            orphan = await _pid(client)
        owner.kill()
        owner.wait()
    assert not _is_gone(orphan)
    try:
        async with open_embedded(tmp_path) as url, _client(url) as client:
            assert await _pid(client) == orphan
            os.kill(orphan, signal.SIGKILL)
            assert await _pid(client) != orphan
    finally:
        if not _is_gone(orphan):
            os.kill(orphan, signal.SIGKILL)


async def test_a_cut_last_write_is_left_out(tmp_path: Path) -> None:
    async with open_embedded(tmp_path) as url, _client(url) as client:
        await client.set("first", "1")
        await client.set("last", "2")
    (written,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    written.write_bytes(written.read_bytes()[:-5])
    async with open_embedded(tmp_path) as url, _client(url) as client:
        assert await client.get("first") == b"1"
        assert await client.get("last") is None


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with open_embedded(tmp_path):
        pass
    (written,) = (tmp_path / "appendonlydir").glob("*.base.rdb")
    written.write_bytes(b"no such format" * 10)
    with pytest.raises(StoreUnavailable, match="does not start: .*"):
        async with open_embedded(tmp_path):
            pass
    assert embedded.try_lock(os.open(tmp_path / "valkey.lock", os.O_RDWR))


async def test_without_a_binary_it_asks_for_a_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(StoreMisconfigured, match="REDIS_URL"):
        async with open_embedded(tmp_path):
            pass
