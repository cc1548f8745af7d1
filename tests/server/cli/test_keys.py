"""`everturn keys` beside real services: who is refused, who comes in, and when no more."""

import io
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.server.__main__ import main
from tests.server.access.own_keys import bearer
from tests.server.cli.test_backup import everturn, everturn_anew, refused
from tests.service import ROOT, Client, process
from tests.upgrades.data import FIXTURES, Set
from tests.waiting import eventually_sync

pytestmark = pytest.mark.clock

NETWORK = ("--host", "0.0.0.0")


def keys(data_dir: Path, *words: str, code: int = 0) -> str:
    """Run a command about keys in this process, and return what it said."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        assert main(["keys", *words, "--data-dir", str(data_dir)]) == code
    return said.getvalue()


def made(data_dir: Path, name: str, *options: str) -> str:
    return keys(data_dir, "create", name, *options).splitlines()[0]


def status(client: httpx.Client, key: str) -> int:
    return client.post("/threads", json={}, headers=bearer(key)).status_code


def is_refused(client: httpx.Client, key: str) -> bool:
    return status(client, key) == 401


def test_nobody_is_served_on_a_network_before_there_is_a_key(data_dir: Path) -> None:
    with process(data_dir, *NETWORK) as none:
        assert none.ended() == 1
    said = none.log[-1]
    assert said.startswith("everturn: 0.0.0.0 can be reached from other machines")
    for way in ("everturn keys create NAME", "EVERTURN_AUTH=on", "EVERTURN_AUTH=off"):
        assert way in said
    ada = made(data_dir, "ada")
    with process(data_dir, *NETWORK) as running, Client(running.url()) as client:
        assert client.get("/ok").status_code == 200
        assert client.post("/threads", json={}).status_code == 401
        assert status(client, ada) == 200
        assert running.stop() == 0
    assert not any("open_to_the_network" in line for line in running.log)


def test_several_processes_are_refused_like_one(data_dir: Path) -> None:
    with process(data_dir, *NETWORK, "--workers", "2") as none:
        assert none.ended() == 1
    assert sum(line.startswith("everturn: 0.0.0.0 can be reached") for line in none.log) == 1


@pytest.mark.parametrize(
    ("at", "settings"),
    [(NETWORK, {"EVERTURN_AUTH": "off"}), ((), {"EVERTURN_TRUSTED_PROXIES": "127.0.0.1"})],
    ids=["by its address", "by a proxy"],
)
def test_a_service_that_is_open_to_a_network_says_so(
    data_dir: Path, at: Sequence[str], settings: Mapping[str, str]
) -> None:
    with process(data_dir, *at, **settings) as running:
        with Client(running.url()) as client:
            assert client.post("/threads", json={}).status_code == 200
        assert running.stop() == 0
    assert sum('"open_to_the_network"' in line for line in running.log) == 1


def test_keys_work_at_once_and_no_more_within_seconds_in_all_processes(data_dir: Path) -> None:
    with process(data_dir, "--workers", "2", EVERTURN_AUTH="on") as running:
        url = running.url()
        running.says("nobody_has_a_key", "everturn keys create NAME")
        ada, bob = made(data_dir, "ada"), made(data_dir, "laptop", "--owner", "bob")
        with several(url) as clients:
            for client in clients:
                assert status(client, ada) == status(client, bob) == 200
            listed = json.loads(keys(data_dir, "list", "--json"))
            assert [(each["name"], each["owner"]) for each in listed] == [
                ("ada", "ada"),
                ("laptop", "bob"),
            ]
            assert ada.split("_")[2] not in json.dumps(listed)
            keys(data_dir, "revoke", "laptop")
            for client in clients:
                eventually_sync(partial(is_refused, client, bob))
                assert status(client, ada) == 200
        assert running.stop() == 0
    table = keys(data_dir, "list")
    (used,) = re.findall(r"^\w{16} +ada +ada +runs +(.*)$", table, re.MULTILINE)
    assert len(re.findall(r"\d\d:\d\d", used)) == 2  # created, last used
    assert re.search(r"laptop +bob .* revoked$", table, re.MULTILINE)


@contextmanager
def several(url: str) -> Iterator[list[Client]]:
    """Clients on many connections, which the kernel deals out to all processes."""
    with ExitStack() as opened:
        yield [opened.enter_context(Client(url)) for _ in range(16)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A service that asks for keys; its data folder and its address."""
    data_dir = tmp_path_factory.mktemp("served") / "data"
    with process(data_dir, EVERTURN_AUTH="on") as running:
        yield data_dir, running.url()
        assert running.stop() == 0


def test_a_websocket_needs_a_key_too(served: tuple[Path, str]) -> None:
    where = urlsplit(served[1])
    assert where.hostname
    handshake = (
        f"GET /threads HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port or 80)) as connection:
        connection.sendall(handshake.encode())
        assert connection.recv(100).split()[1] in {b"401", b"403"}


def test_commands_send_the_key_of_their_environment(served: tuple[Path, str]) -> None:
    data_dir, _ = served
    create = ("keys", "create", "x", "--owner", "ada")
    ada, *_ = everturn_anew(*create, data_dir=data_dir).splitlines()
    operator = made(data_dir, "operator", "--scope", "admin")
    asked = ("chat", "--plain", "--data-dir", str(data_dir), "Calculate 6 * 7")
    assert "42" in everturn(*asked, data_dir=data_dir, EVERTURN_API_KEY=ada)
    assert "EVERTURN_API_KEY" in refused(*asked, data_dir=data_dir)
    export = ("export", "--user", "ada")
    for key in ("", ada):
        assert "EVERTURN_API_KEY" in refused(*export, data_dir=data_dir, EVERTURN_API_KEY=key)
    lines = everturn(*export, data_dir=data_dir, EVERTURN_API_KEY=operator)
    assert '"owner":"ada"' in lines


def test_who_can_open_the_stores_needs_no_key(data_dir: Path) -> None:
    with process(data_dir, EVERTURN_AUTH="on") as running, Client(running.url()) as client:
        assert status(client, made(data_dir, "ada")) == 200
        running.stop()
    said = everturn("forget", "--user", "ada", data_dir=data_dir, EVERTURN_HOST="0.0.0.0")
    assert "1 threads" in said
    assert "1 api keys" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "a", "--expires", "soon"), "such as 90d"),
        (("create", "a", "--expires", "0d"), "such as 90d"),
        (("create", " "), "NAME: 1 to 200 characters"),
        (("create", "a", "--owner", "a\nb"), "--owner: 1 to 200 characters"),
        (("create", "x" * 201), "NAME: 1 to 200 characters"),
        (("create", "a", "--rate-limit", "many"), "rate_limit must be off, or a number"),
        (("create", "a", "--max-runs", "0"), "max_runs must be greater than or equal to 1"),
        (("create", "a", "--budget-day", "nan"), "budget_day must be a finite number"),
        (("create", "a", "--turn-timeout", "301"), "at most 300, which EVERTURN_TURN_TIMEOUT"),
        (("create", "a", "--max-body-size", "5000000"), "at most 4194304, which EVERTURN_MAX_B"),
        (("revoke", "nobody"), "everturn keys list"),
    ],
)
def test_what_cannot_be_done_says_what_can(
    served: tuple[Path, str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in keys(served[0], *arguments, code=1)


def test_a_name_that_two_have_is_none(served: tuple[Path, str]) -> None:
    twins = [made(served[0], "twin", "--expires", expires) for expires in ("90d", "1h")]
    said = keys(served[0], "revoke", "twin", code=1)
    for key in twins:
        assert key.split("_")[1] in said
        keys(served[0], "revoke", key.split("_")[1])
    assert "everturn keys list" in keys(served[0], "revoke", "twin", code=1)


def test_a_key_may_come_before_the_first_start(data_dir: Path) -> None:
    assert "there is no data folder" in keys(data_dir, "list", code=1)
    assert not data_dir.exists()
    whole = keys(data_dir, "create", "ci", "--scope", "metrics", "--json")
    key = json.loads(whole.splitlines()[0])
    assert (key["scopes"], key["works"], key["expires_at"]) == (["metrics"], True, None)
    with process(data_dir, EVERTURN_AUTH="on") as running, Client(running.url()) as client:
        assert client.get("/metrics", headers=bearer(key["key"])).status_code == 200
        assert status(client, key["key"]) == 403


def test_limits_of_a_key_are_listed(data_dir: Path) -> None:
    own = ("--rate-limit", "60/minute", "--max-runs", "4", "--budget-day", "5", "--expires", "1d")
    made(data_dir, "ada", *own)
    made(data_dir, "bob")
    ada, bob = json.loads(keys(data_dir, "list", "--json"))
    assert ada["limits"] == {"rate_limit": "60/minute", "max_runs": 4, "budget_day": 5.0}
    assert bob["limits"] == {}
    table = keys(data_dir, "list")
    assert re.search(
        r" ada .* rate_limit=60/minute, max_runs=4, budget_day=5.0$", table, re.MULTILINE
    )
    assert re.search(r" bob .* -$", table, re.MULTILINE)


def test_tables_of_an_older_version_are_brought_to_those_of_today(data_dir: Path) -> None:
    Set(FIXTURES / "revision-0004").unpack(data_dir)  # from before there were keys
    with hold_data_dir(data_dir):  # as a service of that version does
        assert "the data folder" in keys(data_dir, "create", "bob", code=1)
    made(data_dir, "bob")
    assert " bob " in keys(data_dir, "list")


def test_a_project_with_auth_is_served_on_a_network(data_dir: Path) -> None:
    project = str(ROOT / "tests" / "projects" / "auth" / "langgraph.json")
    with process(data_dir, *NETWORK, EVERTURN_CONFIG=project) as running:
        running.url()
        assert running.stop() == 0
    assert not any('"open_to_the_network"' in line for line in running.log)


def test_who_makes_and_revokes_keys_is_written_down(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = tmp_path / "audit"
    monkeypatch.setenv("EVERTURN_AUDIT_FILE", str(audit))
    key = made(data_dir, "ada", "--scope", "admin")
    keys(data_dir, "revoke", "ada")
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [line["action"] for line in lines] == ["key.created", "key.revoked"]
    for line in lines:
        assert (line["target"], line["owner"], line["scopes"]) == (
            key.split("_")[1],
            "ada",
            "admin",
        )
        assert line["address"] == "command line"
    assert key not in audit.read_text()
