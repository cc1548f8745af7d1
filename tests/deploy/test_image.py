"""The image as people run it: `make image-test` builds it and runs these tests.

They need a container engine and an image, and are skipped where TEST_IMAGE names none.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.containers import Container, Containers, containers, engine
from tests.service import ROOT, Client
from tests.waiting import eventually_sync

pytestmark = pytest.mark.slow

MAX_BYTES = 250_000_000

LOOK = """
import ctypes, json, os, sysconfig

def files(root, without=("/proc", "/sys", "/dev", "/data")):
    for folder, inner, names in os.walk(root):
        inner[:] = [each for each in inner if os.path.join(folder, each) not in without]
        yield from (os.path.join(folder, name) for name in names)

found = list(files("/"))
site = sysconfig.get_path("purelib")
broken = []
for path in found:
    if path.startswith(site) and path.endswith(".so"):
        try:
            ctypes.CDLL(path)
        except OSError as error:
            broken.append(str(error))
print(json.dumps({
    "bytes": sum(os.lstat(path).st_size for path in found),
    "files": found,
    "broken": broken,
    "user": os.getuid(),
    "writable": [path for path in ("/", "/tmp", "/project", "/opt/everturn", site, "/data")
                 if os.access(path, os.W_OK)],
}))
"""


@pytest.fixture
def running() -> Iterator[Containers]:
    image, found = os.environ.get("TEST_IMAGE"), engine()
    if image is None or found is None:
        pytest.skip("no image is named in TEST_IMAGE, or there is neither docker nor podman")
    with containers(image, found) as made:
        yield made


def new_key(made: Containers) -> str:
    ran = made.run("keys", "create", "ada")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()[-1]


def test_a_first_start_without_a_key_says_what_to_do(running: Containers) -> None:
    ran = running.run()
    assert ran.returncode == 1
    assert "nobody has a key: make one with `everturn keys create NAME`" in ran.stderr


def test_what_is_in_it(running: Containers) -> None:
    ran = running.run("-c", LOOK, options=("--entrypoint", "python"))
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["broken"] == []
    assert seen["bytes"] <= MAX_BYTES
    assert seen["user"] != 0
    assert set(seen["writable"]) - {"/tmp"} == {"/data"}  # podman makes an empty /tmp
    names = {Path(path).name for path in seen["files"]}
    assert names.isdisjoint({"gcc", "cc", "ld", "apt-get", "perl", ".env", ".git", "id_rsa"})
    assert not [
        path for path in seen["files"] if "/tests/conftest.py" in path or "/pip/cache" in path
    ]
    assert [path for path in seen["files"] if path.endswith("page/assets/index.html")]


def test_it_serves_with_its_own_valkey_and_the_page(running: Containers) -> None:
    key = new_key(running)
    container = running.start()
    with container.client(key) as client:
        assert client.ask("Calculate 10 * 20")["response"] == "10 * 20 = 200"
        page = client.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "<html" in page.text
    with Client(container.url) as stranger:
        assert stranger.get("/api/chat/sessions").status_code == 401


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one's own, whose graph waits for files in the folder `gates`."""
    tmp_path.chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "gates").mkdir()
    (folder / "talk.py").write_text((ROOT / "tests/server/gated_graph.py").read_text())
    config = {"dependencies": ["."], "graphs": {"talk": "./talk.py:graph"}}
    (folder / "langgraph.json").write_text(json.dumps(config))
    return folder


def mounts(project: Path) -> tuple[str, ...]:
    gates = project.parent / "gates"
    return ("--volume", f"{project}:/project:ro", "--volume", f"{gates}:/gates:ro")


def begin(client: Client, text: str) -> tuple[str, str]:
    """Start a run that waits for a gate."""
    thread = client.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "talk", "input": {"messages": [{"role": "user", "content": text}]}}
    run = client.post(f"/threads/{thread}/runs", json=body).json()["run_id"]
    path = f"/threads/{thread}/runs/{run}"
    eventually_sync(lambda: client.get(path).json()["status"] == "running")
    return thread, run


def test_a_turn_goes_on_after_kill_9(running: Containers, project: Path) -> None:
    key = new_key(running)
    container = running.start(*mounts(project))
    with container.client(key) as client:
        assert client.get("/info").json()["graphs"] == ["talk"]
        thread, run = begin(client, "before @/gates/open after")
    assert container.kill("KILL") == 137
    (project.parent / "gates" / "open").touch()
    again = running.start(*mounts(project))
    with again.client(key) as client:
        values = client.get(f"/threads/{thread}/runs/{run}/join").json()
        assert values["messages"][-1]["content"].split() == ["before", "after"]


def test_sigterm_lets_a_turn_end(running: Containers, project: Path) -> None:
    key = new_key(running)
    container = running.start(*mounts(project))
    with container.client(key) as client, ThreadPoolExecutor() as pool:
        thread, run = begin(client, "before @/gates/open after")
        joined = pool.submit(client.get, f"/threads/{thread}/runs/{run}/join")
        ended = pool.submit(container.kill, "TERM")
        eventually_sync(lambda: is_leaving(container))
        assert not joined.done()
        (project.parent / "gates" / "open").touch()
        assert joined.result().json()["messages"][-1]["content"].split() == ["before", "after"]
        assert ended.result() == 0, container.log()


def is_leaving(container: Container) -> bool:
    said = container.exec("everturn", "ready")
    return said.returncode == 1 and "answers 503" in said.stderr
