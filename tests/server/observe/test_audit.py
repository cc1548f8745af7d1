"""Who did what, when, to what, and from where: a line for each, and nothing that was said."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest

from everturn.server.access.caller import Caller, acting_as
from everturn.server.cli.backup import backup
from everturn.server.environment import WrongSetting
from everturn.server.observe.audit import audit, audited_to
from tests.server.access.project import PROJECT, headers
from tests.service import serving
from tests.waiting import eventually_sync

Json = dict[str, Any]
SAID = "SecretWords"


class Audited(NamedTuple):
    """A service whose audit goes to a file, and a user of it."""

    alice: httpx.Client
    file: Path

    def post(self, path: str, **body: Any) -> Any:
        return self.alice.post(path, json=body).raise_for_status().json()

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    file = folder / "audit.jsonl"
    with (
        serving(
            folder / "data", config=PROJECT, audit_file=file, fetch_networks="127.0.0.0/8"
        ) as client,
        httpx.Client(base_url=client.base_url, headers=headers("alice")) as alice,
    ):
        yield Audited(alice, file)


def thread(audited: Audited) -> str:
    made: str = audited.post("/threads")["thread_id"]
    asked = {"assistant_id": "agent", "input": {"messages": SAID}}
    audited.post(f"/threads/{made}/runs/wait", **asked)
    return made


def deleted_thread(audited: Audited) -> str:
    made = thread(audited)
    audited.alice.delete(f"/threads/{made}").raise_for_status()
    return made


def pruned_thread(audited: Audited) -> str:
    made = thread(audited)
    audited.post("/threads/prune", thread_ids=[made], strategy="delete")
    return made


def deleted_run(audited: Audited) -> str:
    made = thread(audited)
    run: str = audited.alice.get(f"/threads/{made}/runs").json()[0]["run_id"]
    audited.alice.delete(f"/threads/{made}/runs/{run}").raise_for_status()
    return run


def deleted_assistant(audited: Audited) -> str:
    made: str = audited.post("/assistants", graph_id="agent")["assistant_id"]
    audited.alice.delete(f"/assistants/{made}").raise_for_status()
    return made


def deleted_cron(audited: Audited) -> str:
    asked = {"assistant_id": "agent", "schedule": "0 0 1 1 *", "input": {"messages": SAID}}
    made: str = audited.post("/runs/crons", **asked)["cron_id"]
    audited.alice.delete(f"/runs/crons/{made}").raise_for_status()
    return made


def deleted_item(audited: Audited) -> str:
    place = {"namespace": ["alice", "notes"], "key": "one"}
    audited.alice.put("/store/items", json={**place, "value": {"note": SAID}}).raise_for_status()
    audited.alice.request("DELETE", "/store/items", json=place).raise_for_status()
    return "alice.alice.notes.one"  # a rule of the project puts it there


def exported_user(audited: Audited) -> str:
    thread(audited)
    audited.alice.get("/api/users/export", params={"user": "alice"}).raise_for_status()
    return "alice"


def forgotten_user(audited: Audited) -> str:
    thread(audited)
    audited.alice.delete("/api/users", params={"user": "alice"}).raise_for_status()
    return "alice"


def webhook(audited: Audited) -> str:
    """One that nobody takes."""
    made: str = audited.post("/threads")["thread_id"]
    asked = {"assistant_id": "agent", "input": {"messages": SAID}, "webhook": "http://127.0.0.1:1/"}
    run: str = audited.post(f"/threads/{made}/runs", **asked)["run_id"]
    audited.alice.get(f"/threads/{made}/runs/{run}/join").raise_for_status()
    eventually_sync(lambda: [each["run_id"] for each in audited.alice.get("/api/webhooks").json()])
    return run


def webhook_sent_again(audited: Audited) -> str:
    run = webhook(audited)
    audited.alice.post(f"/api/webhooks/{run}/send").raise_for_status()
    return run


def deleted_webhook(audited: Audited) -> str:
    run = webhook(audited)
    audited.alice.delete(f"/api/webhooks/{run}").raise_for_status()
    return run


def sent_again(audited: Audited) -> str:
    audited.alice.post("/api/webhooks/send").raise_for_status()
    return "dead letters"


@pytest.mark.parametrize(
    ("action", "do"),
    [
        ("thread.deleted", deleted_thread),
        ("thread.deleted", pruned_thread),
        ("run.deleted", deleted_run),
        ("assistant.deleted", deleted_assistant),
        ("cron.deleted", deleted_cron),
        ("store_item.deleted", deleted_item),
        ("webhook.sent_again", sent_again),
        ("webhook.sent_again", webhook_sent_again),
        ("webhook.deleted", deleted_webhook),
        ("user.exported", exported_user),
        ("user.forgotten", forgotten_user),
    ],
)
def test_each_has_a_line(audited: Audited, action: str, do: Callable[[Audited], str]) -> None:
    before = len(audited.lines())
    target = do(audited)
    (line,) = [each for each in audited.lines()[before:] if each["action"] == action]
    assert line["target"] == target
    assert (line["who"], line["address"]) == ("alice", "127.0.0.1")
    assert line["timestamp"].endswith("+00:00")
    assert SAID not in audited.file.read_text()


def test_the_file_is_its_owners_alone(audited: Audited) -> None:
    audited.alice.post("/api/webhooks/send").raise_for_status()
    assert stat.S_IMODE(audited.file.stat().st_mode) == 0o600


def test_approvals_exports_and_deletions_of_sessions(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with serving(data_dir, audit_file=file, approve_tools="calculator") as client:
        waits = client.ask("Calculate 10 * 20")
        session = waits["session_id"]
        decisions = [{"id": waits["calls"][0]["id"], "type": "edit", "args": {"expression": "1+1"}}]
        path = f"/api/chat/session/{session}"
        client.post(f"{path}/resume", json={"decisions": decisions}).raise_for_status()
        client.get(f"{path}/export").raise_for_status()
        client.delete(path).raise_for_status()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(each["action"], each["target"]) for each in lines] == [
        ("thread.resumed", session),
        ("session.exported", session),
        ("thread.deleted", session),
    ]
    assert lines[0]["decisions"] == ["edit"]
    assert lines[0]["who"] is None
    assert "expression" not in file.read_text()


def test_by_the_agent_servers_door_it_is_an_approval_too(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with serving(data_dir, audit_file=file, approve_tools="calculator") as client:
        thread_id = str(uuid4())
        path = f"/threads/{thread_id}/runs/wait"
        asked: Json = {"assistant_id": "agent", "if_not_exists": "create"}
        client.post(path, json={**asked, "input": {"messages": "Calculate 10 * 20"}})
        resume = {"decisions": [{"type": "reject", "message": SAID}]}
        client.post(path, json={**asked, "command": {"resume": resume}}).raise_for_status()
    (line,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (line["action"], line["target"]) == ("thread.resumed", thread_id)
    assert line["decisions"] == ["reject"]
    assert SAID not in file.read_text()


def test_a_backup_is_by_the_user_of_the_machine(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERTURN_DATA_DIR", str(data_dir))
    monkeypatch.setenv("EVERTURN_AUDIT_FILE", str(tmp_path / "audit.jsonl"))
    monkeypatch.setattr("everturn.server.cli.backup.configure_logs", lambda level: None)
    with serving(data_dir) as client:
        client.ask("Hello")
        assert backup({}, str(tmp_path / "kept.backup")) == 0
    (line,) = map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines())
    assert (line["action"], line["address"]) == ("backup.written", "command line")
    assert line["who"]


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with audited_to(file), acting_as(Caller({"identity": "ada"})):
        audit("key.created", target="k1")
        file.rename(tmp_path / "audit.1")
        audit("key.revoked", target="k1", who="bob")
    assert json.loads((tmp_path / "audit.1").read_text())["who"] == "ada"
    line = json.loads(file.read_text())
    assert (line["action"], line["who"]) == ("key.revoked", "bob")


def test_a_file_that_cannot_be_written_later_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with audited_to(folder / "audit.jsonl"):
        (folder / "audit.jsonl").unlink()
        folder.rmdir()
        audit("key.created", target="k1")


def test_a_file_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="EVERTURN_AUDIT_FILE"), audited_to(tmp_path):
        pass
