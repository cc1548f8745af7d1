"""The two servers: each serves a copy of a project."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.checkpoints.redis.servers import free_ports
from tests.service import ROOT, process
from tests.waiting import PATIENCE, eventually_sync

PROJECTS = ROOT / "tests" / "projects"
ENVIRONMENT = "TEST_DEVELOPMENT_SERVER"


class DidNotStart(Exception):
    """A server ended before it answered; the text is the end of its log."""


def projects() -> list[str]:
    """Return the names of all projects, sorted."""
    return sorted(file.parent.name for file in PROJECTS.glob("*/langgraph.json"))


@contextmanager
def langgraph(project: str, folder: Path) -> Iterator[str]:
    """Serve a project with LangGraph's development server; yields its address."""
    copied = folder / "langgraph" / project
    shutil.copytree(PROJECTS / project, copied)
    command = Path(os.environ[ENVIRONMENT]).expanduser().resolve() / "bin" / "langgraph"
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", copied / "log"
    # One job after the other would keep delayed and waiting runs from the others.
    arguments = ["dev", "--no-browser", "--no-reload", "--port", str(port)]
    with log.open("w") as output:
        running = subprocess.Popen(
            [command, *arguments, "--n-jobs-per-worker", "10"],
            cwd=copied,
            stdout=output,
            stderr=output,
        )

    def answers() -> bool:
        if running.poll() is not None:
            raise DidNotStart(log.read_text()[-2000:])
        try:
            return httpx.get(f"{url}/ok").is_success
        except httpx.TransportError:
            return False

    try:
        eventually_sync(answers)
        yield url
    finally:
        running.terminate()
        running.wait(PATIENCE)


@contextmanager
def everturn(project: str, folder: Path) -> Iterator[str]:
    """Serve a project with this service; yields its address."""
    copied = folder / "everturn" / project
    shutil.copytree(PROJECTS / project, copied)
    config = str(copied / "langgraph.json")
    with process(copied / "data", EVERTURN_CONFIG=config) as running:
        try:
            url = running.url()
        except RuntimeError as error:
            raise DidNotStart(str(error)[-2000:]) from error
        yield url
        running.stop()


SERVERS = {"langgraph": langgraph, "everturn": everturn}
