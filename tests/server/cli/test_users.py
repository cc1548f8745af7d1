"""What is kept of a user is handed over and deleted, whether a service runs or not."""

import json
from pathlib import Path
from typing import Any

from tests.server.cli.test_backup import everturn, everturn_anew, refused
from tests.service import Client, process


def test_a_session_is_written_down_while_the_service_runs_and_after(
    data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "session.md"
    with process(data_dir) as running, Client(running.url()) as client:
        session = client.ask("Calculate 6 * 7")["session_id"]
        exported = json.loads(everturn_anew("export", "--session", session, data_dir=data_dir))
        assert [turn["user_message"] for turn in exported["history"]] == ["Calculate 6 * 7"]
        missing = refused("export", "--session", "none", data_dir=data_dir)
        assert "There is no history of a session 'none'" in missing
    asked = ("export", "--session", session, "--markdown", "--output", str(file))
    everturn(*asked, data_dir=data_dir)
    assert "Calculate 6 * 7" in file.read_text()
    assert "File exists" in refused(*asked, data_dir=data_dir)


def test_all_that_is_kept_of_a_user_is_exported_and_forgotten(data_dir: Path) -> None:
    here = {"EVERTURN_FETCH_NETWORKS": "127.0.0.0/8"}
    with process(data_dir, **here) as running, Client(running.url()) as client:
        threads = {user: _things_of(client, user) for user in ("ada", "bob")}
        lines = everturn("export", "--user", "ada", data_dir=data_dir).splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        assert kinds == ["thread", "run", "assistant", "store_item", "store_item"]
        thread = json.loads(lines[0])
        assert thread["thread_id"] == threads["ada"]
        assert thread["values"]["messages"][0]["content"] == "I am ada"
    # No service runs: the command opens the stores itself.
    said = everturn("forget", "--user", "ada", data_dir=data_dir)
    assert "1 threads, 0 crons, 1 assistants, 2 store items" in said
    assert "Nothing is kept" in refused("forget", "--user", "ada", data_dir=data_dir)
    assert "Nothing is kept" in refused("export", "--user", "ada", data_dir=data_dir)
    with process(data_dir) as running, Client(running.url()) as client:
        assert client.get(f"/threads/{threads['ada']}").status_code == 404
        assert client.get(f"/threads/{threads['ada']}/state").status_code == 404
        assert client.get(f"/threads/{threads['bob']}/state").json()["values"]["messages"]
        found = client.post("/store/items/search", json={"namespace_prefix": []}).json()["items"]
        assert {tuple(item["namespace"]) for item in found} == {("bob", "likes"), ("of", "bob")}
        assistants = client.post("/assistants/search", json={"metadata": {"owner": "bob"}}).json()
        assert len(assistants) == 1
        assert len(client.get("/api/webhooks").json()) == 1  # bob's, whose receiver is away


def _things_of(client: Client, user: str) -> Any:
    owned = {"metadata": {"owner": user}}
    thread = client.post("/threads", json=owned).json()["thread_id"]
    message = {"role": "user", "content": f"I am {user}"}
    asked = {"assistant_id": "agent", "input": {"messages": [message]}}
    client.post(f"/threads/{thread}/runs/wait", json=asked).raise_for_status()
    reported = {**asked, **owned, "webhook": "http://127.0.0.1:9/hook"}
    client.post("/runs/wait", json=reported).raise_for_status()
    client.post("/assistants", json={"graph_id": "agent", **owned}).raise_for_status()
    for namespace in ([user, "likes"], ["of", user]):
        item = {"namespace": namespace, "key": "tea", "value": {"cups": 3}}
        client.put("/store/items", json=item).raise_for_status()
    return thread
