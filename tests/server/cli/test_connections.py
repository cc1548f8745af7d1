"""What a client's connection may cost: in time, in bytes and in number. By raw sockets."""

import json
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from everturn.server.cli.connections import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, MAX_REQUESTS
from tests.service import ROOT, Client, Process, process
from tests.waiting import PATIENCE, eventually_sync

pytestmark = [pytest.mark.clock, pytest.mark.slow]

OK = b"GET /ok HTTP/1.1\r\nHost: localhost\r\n\r\n"
TALK = {"pieces": 200, "size": 40_000}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that is soon out of patience."""
    folder = tmp_path_factory.mktemp("connections")
    graphs = {"talk": f"{ROOT}/tests/server/talking_graph.py:graph"}
    (folder / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    with process(
        folder / "data",
        EVERTURN_CONFIG=str(folder / "langgraph.json"),
        EVERTURN_REQUEST_TIMEOUT="2",
        EVERTURN_SEND_TIMEOUT="2",
        EVERTURN_MAX_CONNECTIONS="12",
        EVERTURN_MAX_CONNECTIONS_PER_CLIENT="8",
        EVERTURN_TRUSTED_PROXIES="127.0.0.9",
    ) as running:
        running.url()
        yield running


@contextmanager
def connected(
    served: Process, source: str = "127.0.0.1", buffer: int = 0
) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", int(served.url_found.rpartition(":")[2])))
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the service hangs up."""
    read = b""
    try:
        while piece := connection.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def answered(connection: socket.socket) -> bytes:
    """Ask whether the service is there, and read what it says."""
    connection.sendall(OK)
    read = b""
    while not read.endswith(b'{"ok":true}'):
        piece = connection.recv(65536)
        assert piece, read
        read += piece
    return read


def problem(answer: bytes) -> tuple[int, dict[str, Any], str]:
    """Status, body and head of an answer that is a problem, and the last on its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    assert b"connection: close" in head.lower()
    found: dict[str, Any] = json.loads(body)
    assert found["status"] == int(head.split()[1])
    return found["status"], found, head.decode().lower()


def post(path: str, body: Mapping[str, Any]) -> bytes:
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent


def test_a_head_that_comes_byte_by_byte(served: Process) -> None:
    with connected(served) as connection:
        connection.settimeout(0.2)
        answer = b""
        for byte in OK * 100:
            connection.send(bytes([byte]))
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
            break
        status, found, _ = problem(answer)
    assert status == 408
    assert "EVERTURN_REQUEST_TIMEOUT" in found["detail"]


def test_a_body_that_does_not_come(served: Process) -> None:
    with connected(served) as connection:
        connection.sendall(post("/runs/wait", {"assistant_id": "talk"})[:-1])
        assert problem(read_all(connection))[0] == 408


def test_a_connection_without_a_request_ends(served: Process) -> None:
    with connected(served) as connection:
        assert read_all(connection) == b""


def test_line_breaks_do_not_keep_a_connection(served: Process) -> None:
    with connected(served) as connection:
        connection.settimeout(0.3)
        for _ in range(400):
            try:
                connection.sendall(b"\r\n")
                if not connection.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
            else:
                break
        else:
            pytest.fail("it was kept")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ok HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10 * MAX_HEAD_BYTES,  # no end
        b"GET /ok HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /ok?" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /ok HTTP/1.1\r\n" + b"X: x\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
    ids=["without an end", "one header", "address", "many headers"],
)
def test_a_head_that_is_too_large(served: Process, head: bytes) -> None:
    with connected(served) as connection:
        with suppress(ConnectionError):
            connection.sendall(head)
        assert problem(read_all(connection))[0] == 431


CHUNKED = (
    b"POST /threads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"2\r\n{}\r\n0\r\nX: ", b"y" * 6000),
        (b"2;", b"y" * 6000),
    ],
    ids=["trailers", "one trailer", "extension of a chunk"],
)
def test_what_comes_without_a_body_has_an_end(served: Process, start: bytes, more: bytes) -> None:
    with connected(served) as connection:
        connection.sendall(CHUNKED + start)
        with pytest.raises(ConnectionError):
            connection.sendall(more * 2000)


def test_a_few_trailers_are_taken(served: Process) -> None:
    with connected(served) as connection:
        connection.sendall(CHUNKED + b"2;x=y\r\n{}\r\n0\r\nX: y\r\n\r\n")
        assert b" 200 OK" in connection.recv(65536)
        answered(connection)


def test_what_is_no_http(served: Process) -> None:
    with connected(served) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert problem(read_all(connection))[0] == 400


def test_a_flaw_does_not_get_into_the_answer_before_it(served: Process) -> None:
    with connected(served) as connection:
        asked = {"assistant_id": "talk", "input": {"pieces": 20, "size": 10, "pause": 0.05}}
        connection.sendall(post("/runs/wait", asked))
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"done":true' in answer


def test_one_connection_has_so_many_requests(served: Process) -> None:
    with connected(served) as connection:
        answers = [answered(connection) for _ in range(MAX_REQUESTS)]
        assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
        closed = [b"connection: close" in answer.lower() for answer in answers]
        assert closed.index(True) == MAX_REQUESTS - 1
        assert read_all(connection) == b""


def test_a_client_may_pause_longer_than_clients_keep_connections(served: Process) -> None:
    with connected(served) as connection:
        answered(connection)
        time.sleep(7)
        answered(connection)


def test_so_many_requests_wait_on_one_connection(served: Process) -> None:
    with connected(served) as connection:
        connection.sendall(OK * 500)
        answers = read_all(connection).count(b"HTTP/1.1 200")
    assert 1 <= answers <= MAX_PIPELINED + 2


def test_a_trusted_proxy_brings_the_connections_of_many_clients(served: Process) -> None:
    with ExitStack() as open_connections:
        for _ in range(10):
            connection = open_connections.enter_context(connected(served, "127.0.0.9"))
            assert answered(connection).startswith(b"HTTP/1.1 200")


def test_connections_of_one_client_and_of_all(served: Process) -> None:
    with ExitStack() as open_connections:
        first = [open_connections.enter_context(connected(served)) for _ in range(8)]
        for connection in first:
            assert answered(connection).startswith(b"HTTP/1.1 200")
        with connected(served) as one_too_many:
            one_too_many.sendall(OK)
            status, _, head = problem(read_all(one_too_many))
            assert status == 429
            assert "retry-after: " in head
        others = [open_connections.enter_context(connected(served, "127.0.0.2")) for _ in range(4)]
        for connection in others:
            assert answered(connection).startswith(b"HTTP/1.1 200")
        with connected(served, "127.0.0.3") as one_too_many:
            one_too_many.sendall(OK)
            status, _, head = problem(read_all(one_too_many))
            assert status == 503
            assert "retry-after: " in head
    served.says("too_many_connections")
    with Client(served.url_found) as client:
        assert eventually_sync(lambda: client.get("/ok").status_code == 200)


@pytest.mark.parametrize("route", ["/stream", "/threads/{}/runs/stream", "/threads/{}/runs/wait"])
def test_a_client_that_stops_reading_is_let_go_and_its_run_goes_on(
    served: Process, route: str
) -> None:
    with Client(served.url_found) as client:
        thread = client.post("/threads", json={}).json()["thread_id"]
        asked: dict[str, Any] = {"input": TALK, "stream_mode": ["custom"]}
        if route == "/stream":  # which a client that leaves would stop
            asked |= {"graph": "talk", "thread_id": thread}
        else:
            asked |= {"assistant_id": "talk", "on_disconnect": "cancel"}
        with connected(served, buffer=4096) as stalled:
            stalled.sendall(post(route.format(thread), asked))
            if not route.endswith("wait"):
                served.says("slow_readers_dropped")
                served.log.clear()
            status = eventually_sync(lambda: _ended(client, thread))
    assert status == "success"


def upgraded(
    connection: socket.socket, path: str, command: Mapping[str, Any] | None = None
) -> None:
    """Make it a WebSocket, and send a command."""
    head = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    connection.sendall((head + key).encode())
    assert connection.recv(12) == b"HTTP/1.1 101"
    if command is not None:
        sent = json.dumps(command).encode()
        mask = bytes(4)  # which changes nothing
        connection.sendall(b"\x81\xfe" + len(sent).to_bytes(2, "big") + mask + sent)


def test_sockets_are_connections(served: Process) -> None:
    thread_id = str(uuid4())
    path = f"/threads/{thread_id}/stream/events"
    with ExitStack() as stack:
        for _ in range(8):
            upgraded(stack.enter_context(connected(served)), path)
        with connected(served) as one_more:
            one_more.sendall(OK)
            status, found, _ = problem(read_all(one_more))
    assert status == 429
    assert "EVERTURN_MAX_CONNECTIONS_PER_CLIENT" in found["detail"]
    with Client(served.url_found) as client:  # and are none, once they are closed
        eventually_sync(lambda: client.get("/ok").is_success)


def test_a_socket_whose_client_stops_reading_is_let_go(served: Process) -> None:
    thread_id = str(uuid4())
    path = f"/threads/{thread_id}/stream/events"
    pieces = {"assistant_id": "talk", "input": TALK, "padding": "x" * 200}
    start = {"id": 1, "method": "run.start", "params": pieces}
    subscribe = {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["custom"]}}
    with Client(served.url_found) as client, connected(served, buffer=4096) as silent:
        client.post("/threads", json={"thread_id": thread_id}).raise_for_status()
        upgraded(silent, path, {**subscribe, "padding": "x" * 200})
        client.post(f"/threads/{thread_id}/commands", json=start).raise_for_status()
        served.says("slow_readers_dropped")
        assert read_all(silent)


def test_a_client_that_reads_slowly_is_not_let_go(served: Process) -> None:
    asked = {"assistant_id": "talk", "input": TALK, "stream_mode": ["custom"]}
    with connected(served, buffer=4096) as slow:
        slow.sendall(post("/runs/stream", asked))
        end, read = time.monotonic() + 8, b""
        while time.monotonic() < end:
            read += slow.recv(8192)
            time.sleep(0.02)
        assert len(read) < 8_000_000  # there is more
        while b"\r\n0\r\n\r\n" not in read[-100:]:
            piece = slow.recv(65536)
            assert piece, read[-300:]
            read += piece
    assert read.count(b"event: custom") + read.count(b"event: gap") > 100


def test_a_body_that_goes_on_after_its_answer(served: Process) -> None:
    head = b"POST /runs/wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
    with connected(served) as connection:
        connection.sendall(head)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.count(b"HTTP/1.1") == 1


def _ended(client: Client, thread: str) -> str | None:
    runs = client.get(f"/threads/{thread}/runs").json()
    return next(
        (run["status"] for run in runs if run["status"] not in {"pending", "running"}), None
    )


def test_out_of_file_descriptors(tmp_path: Path) -> None:
    with process(tmp_path / "data") as running, ExitStack() as open_connections:
        running.url()
        pid = running.popen.pid
        least = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 8
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (least, least))
        for _ in range(40):
            open_connections.enter_context(connected(running))
        running.says('"out_of_file_descriptors"')
        time.sleep(3)
        assert running.popen.poll() is None
        assert len([line for line in running.log if '"out_of_file_descriptors"' in line]) == 1
        open_connections.close()
        running.says("file_descriptors_again")
        with Client(running.url_found) as client:
            assert client.get("/ok").status_code == 200


def test_few_descriptors_are_shared_with_stores_and_providers(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        with process(tmp_path / "data", EVERTURN_MAX_CONNECTIONS="1000") as running:
            running.url()
            found, _ = resource.prlimit(running.popen.pid, resource.RLIMIT_NOFILE)
            assert running.stop() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found >= min(2000, hard if hard > 0 else 2000)
