"""The first start: the next free port where nobody chose one, and a client that finds it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from everturn.checkpoints.local.data_dir import published_address
from everturn.server.address import (
    DEFAULT_PORT,
    CannotListen,
    listen,
    local_url_of,
    running_url,
)
from tests.forks import run
from tests.service import Process, killed, process

HOST = "127.0.0.9"
"""Where nothing else listens, so that tests side by side take no port from each other."""
FIRST = 24024
"""In place of the default port, which something on this machine may have."""


@pytest.fixture
def taken() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_next_free_port_is_taken_and_kept(taken: ExitStack) -> None:
    for port in (FIRST, FIRST + 1, FIRST + 3):
        taken.enter_context(socket.create_server(("127.0.0.8", port)))
    for expected in (FIRST + 2, FIRST + 4):
        listener = taken.enter_context(listen("127.0.0.8", FIRST, chosen=False))
        assert listener.getsockname()[1] == expected


def test_all_ports_taken_is_said_in_one_line(taken: ExitStack) -> None:
    for port in range(FIRST, FIRST + 20):
        taken.enter_context(socket.create_server(("127.0.0.7", port)))
    with pytest.raises(CannotListen, match="the ports 24024 to 24043 are all taken") as refused:
        listen("127.0.0.7", FIRST, chosen=False)
    assert "EVERTURN_PORT" in str(refused.value)


def test_a_chosen_port_that_is_taken_stays_an_error(taken: ExitStack) -> None:
    taken.enter_context(socket.create_server(("127.0.0.6", FIRST)))
    with pytest.raises(CannotListen, match=r"cannot listen on 127\.0\.0\.6:24024"):
        listen("127.0.0.6", FIRST, chosen=True)


def test_an_address_of_another_machine_is_not_tried_twenty_times() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:2024"):
        listen("192.0.2.1", DEFAULT_PORT, chosen=False)


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("127.0.0.1", "127.0.0.1")]
)
def test_clients_on_this_machine_get_an_address_they_can_connect_to(host: str, url: str) -> None:
    if host == "::" and not socket.has_ipv6:
        pytest.skip("no IPv6")
    with listen(host, 0, chosen=True) as listener:
        assert local_url_of(listener) == f"http://{url}:{listener.getsockname()[1]}"


def chat(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Not forked where it is asked once: `chat` has to start with all that it needs.
    forked = arguments != ("-",)
    return run(["chat", *arguments], folder, {}, said="Calculate 10 * 20\n", forked=forked)


class FirstStart(Process):
    """As `everturn serve` without an option: no port is chosen."""

    command = (sys.executable, "-m", "everturn.server", "serve")


def test_the_default_port_is_taken(taken: ExitStack, tmp_path: Path) -> None:
    """It starts beside what has the port, is found by its data folder, and leaves no trace."""
    with suppress(OSError):  # then something else has it already
        taken.enter_context(socket.create_server((HOST, DEFAULT_PORT)))
    data_dir = tmp_path / ".everturn"
    running = taken.enter_context(killed(FirstStart(data_dir, EVERTURN_HOST=HOST)))
    url = running.url()
    (ready,) = [json.loads(line) for line in running.log if '"everturn_ready"' in line]
    assert url in {f"http://{HOST}:{port}" for port in range(2025, 2044)}
    assert ready["note"] == "port 2024 is taken; choose one with --port or EVERTURN_PORT"
    assert published_address(data_dir) == url
    for arguments in ((), ("--data-dir", str(data_dir))):
        asked = chat(tmp_path, *arguments)
        assert "200" in asked.stdout, asked.stderr
        assert f"{url} · session" in asked.stderr
    once = chat(tmp_path, "-")
    assert (once.returncode, once.stdout) == (0, "10 * 20 = 200\n"), once.stderr
    with process(data_dir) as second, pytest.raises(RuntimeError) as ended:
        second.url()
    assert f"is held by process {running.popen.pid} at {url}" in str(ended.value)
    assert running.stop() == 0
    assert published_address(data_dir) is None


def test_what_a_killed_process_left_is_not_believed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERTURN_DATA_DIR", str(data_dir))
    with process(data_dir) as running:
        url = running.url()
        assert running_url() == url
        running.kill()
    assert url in (data_dir / "serve.lock").read_text()
    assert running_url() == f"http://127.0.0.1:{DEFAULT_PORT}"


@pytest.mark.slow
def test_a_taken_port_that_the_environment_chose(taken: ExitStack, data_dir: Path) -> None:
    listener = taken.enter_context(socket.create_server((HOST, 0)))
    port = str(listener.getsockname()[1])
    environment = {"EVERTURN_HOST": HOST, "EVERTURN_PORT": port}
    refused = taken.enter_context(killed(FirstStart(data_dir, **environment)))
    with pytest.raises(RuntimeError) as ended:
        refused.url()
    assert f"everturn: cannot listen on {HOST}:{port}" in str(ended.value)
    assert refused.ended() == 1
    assert not data_dir.exists()
