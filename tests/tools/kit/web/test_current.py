"""Where tools find the `Web` to use, and that it costs nothing before it is used."""

import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from everturn.tools.kit.web import Web, connections, current_web
from tests.tools.world import settings, sharing
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).parents[4]


@tool
async def finding() -> int:
    """Say which way out is found."""
    return id(await current_web())


async def test_a_tool_finds_what_the_server_shares() -> None:
    web = Web(settings())
    assert await finding.ainvoke({}, sharing(web)) == id(web)


@pytest.mark.parametrize("config", [{}, {"configurable": {}}, {"configurable": {"__everturn": {}}}])
async def test_without_a_server_each_loop_has_its_own(config: RunnableConfig) -> None:
    assert await finding.ainvoke({}, config) == id(await current_web())
    other = await asyncio.to_thread(lambda: asyncio.run(finding.ainvoke({}, config)))
    assert other != id(await current_web())
    assert (await current_web()).settings.tools_offline == "always"  # from the environment


def test_importing_the_tools_loads_no_client() -> None:
    code = (
        "import sys\n"
        "from everturn.tools import current_time, fetch_page, search, weather\n"
        "print([name for name in ('httpcore2', 'lxml') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert ran.stdout.strip() == "[]"


async def test_tests_cannot_leave_this_machine() -> None:
    internet = connections.Internet()
    with pytest.raises(RuntimeError, match="ALLOW_NETWORK"):
        await internet.resolve("example.org")
    (address, *_) = await internet.resolve("localhost")
    assert address.is_loopback
    web = Web(settings(wttr_url="http://example.org"))
    with pytest.raises(RuntimeError, match="ALLOW_NETWORK"):
        await web.ask("Service", "http://93.184.215.14/", {})
    with pytest.raises(RuntimeError, match="ALLOW_NETWORK"):
        await web.fetch("http://93.184.215.14/")
    await web.aclose()


async def test_a_resolver_that_hangs_holds_up_neither_callers_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        free.wait(PATIENCE)
        return []

    monkeypatch.setattr(connections, "ALLOW_NETWORK", True)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    internet = connections.Internet()
    waiting = [asyncio.create_task(internet.resolve(f"{n}.test")) for n in range(20)]
    await eventually(lambda: sum(task.done() for task in waiting) >= 4)
    done, hung = await asyncio.wait(waiting, timeout=0.2)
    assert (len(done), len(hung)) == (4, 16)  # no more threads than that
    for task in hung:
        task.cancel()
    await asyncio.wait(hung)
    assert all("resolver" in str(task.exception()) for task in done)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("look-up")]
    assert len(threads) == 16
    assert all(thread.daemon for thread in threads)
    free.set()
    for thread in threads:
        await asyncio.to_thread(thread.join, PATIENCE)
