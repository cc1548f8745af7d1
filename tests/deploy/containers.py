"""Containers of the image that TEST_IMAGE names, as people start them."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from tests.checkpoints.redis.servers import free_ports
from tests.service import Client
from tests.waiting import PATIENCE, eventually_sync

LOCKED_DOWN = (
    *("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--network", "host"),
)


@dataclass
class Containers:
    """Starts them, and removes them with their volume at the end."""

    image: str
    engine: list[str]
    volume: str = field(default_factory=lambda: f"everturn-test-{uuid4().hex}")
    names: list[str] = field(default_factory=list)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine."""
        return subprocess.run(
            [*self.engine, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def run(self, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of its own, on the volume."""
        there = ("--volume", f"{self.volume}:/data", "--env", "EVERTURN_PORT=0")
        return self.call("run", "--rm", *LOCKED_DOWN, *there, *options, self.image, *command)

    def start(self, *options: str) -> "Container":
        """Start the service on the volume, and wait until it is ready."""
        name, (port,) = f"everturn-test-{uuid4().hex}", free_ports(1)
        self.names.append(name)
        environment = ("--env", f"EVERTURN_PORT={port}", "--env", "EVERTURN_TOOLS_OFFLINE=always")
        ran = self.call(
            "run", "--detach", "--name", name, *LOCKED_DOWN, *environment,
            "--volume", f"{self.volume}:/data", *options, self.image,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        container = Container(self, name, f"http://127.0.0.1:{port}")
        eventually_sync(container.is_ready)
        return container

    def remove(self) -> None:
        """Remove all containers and the volume."""
        for name in self.names:
            self.call("rm", "--force", name)
        self.call("volume", "rm", "--force", self.volume)


@dataclass
class Container:
    """The service in a container."""

    containers: Containers
    name: str
    url: str

    def is_ready(self) -> bool:
        """What the image's health check does."""
        if self.exec("everturn", "ready").returncode == 0:
            return True
        state = self.containers.call("inspect", "--format", "{{.State.Running}}", self.name)
        assert state.stdout.strip() == "true", self.log()
        return False

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the service."""
        return self.containers.call("exec", self.name, *command)

    def log(self) -> str:
        """What the service said."""
        logs = self.containers.call("logs", self.name)
        return logs.stdout + logs.stderr

    def kill(self, sign: str) -> int:
        """Send a signal to the first process, and return the exit code."""
        assert self.containers.call("kill", "--signal", sign, self.name).returncode == 0
        return self.ended()

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        return int(self.containers.call("wait", self.name).stdout)

    @contextmanager
    def client(self, key: str) -> Iterator[Client]:
        """A client with a key."""
        with Client(self.url) as client:
            client.headers["Authorization"] = f"Bearer {key}"
            yield client


def engine() -> list[str] | None:
    """TEST_ENGINE, or the first that is installed."""
    if named := os.environ.get("TEST_ENGINE"):
        return shlex.split(named)
    return next(([each] for each in ("docker", "podman") if shutil.which(each)), None)


@contextmanager
def containers(image: str, engine: list[str]) -> Iterator[Containers]:
    """Containers on a new volume."""
    with ExitStack() as stack:
        made = Containers(image, engine)
        stack.callback(made.remove)
        yield made
