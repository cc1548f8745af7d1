"""`everturn memory reindex` after another model was named."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.forks import run
from tests.provider import FakeProvider
from tests.service import Client, serving


def reindex(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"EVERTURN_DATA_DIR": str(data_dir), **environment}
    return run(["memory", "reindex"], data_dir.parent, settings)


def scores(client: Client, query: str) -> dict[str, Any]:
    found = client.get("/api/memories", params={"query": query}).json()["memories"]
    return {each["text"]: each["score"] for each in found}


def test_another_model_finds_what_an_earlier_one_did_not_make(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with FakeProvider() as provider:
        named = {"base_url": provider.url, "models": "m", "openai_api_key": "sk-test"}
        with serving(data_dir, **named, embeddings="first") as client:
            for text in ("Likes tea.", "Works at a bank."):
                client.post("/api/memories", json={"text": text}).raise_for_status()
        provider.embed = lambda text: [1, 0] if "tea" in text or "drink" in text else [0, 1]
        with serving(data_dir, **named, embeddings="second") as client:
            client.post("/api/memories", json={"text": "Is tall."}).raise_for_status()
            assert scores(client, "drink") == {
                "Is tall.": pytest.approx(0),
                **dict.fromkeys(("Likes tea.", "Works at a bank."), None),
            }
            environment = {
                "EVERTURN_BASE_URL": provider.url,
                "EVERTURN_MODELS": "m",
                "OPENAI_API_KEY": "sk-test",
                "EVERTURN_EMBEDDINGS": "second",
            }
            done = reindex(data_dir, **environment)  # beside the service, which finds it at once
            assert (done.returncode, done.stdout) == (0, "3 texts in the store, 2 made anew.\n")
            assert scores(client, "drink")["Likes tea."] == pytest.approx(1)
            again = reindex(data_dir, **environment)
            assert again.stdout == "3 texts in the store, 0 made anew.\n"
            provider.embed = 500
            failed = reindex(data_dir, **environment, EVERTURN_EMBEDDINGS_="x")
            assert failed.returncode == 1
            assert failed.stderr.startswith("everturn: ")


def test_there_must_be_something_to_index(tmp_path: Path) -> None:
    done = run(["memory", "reindex"], tmp_path, {}, forked=False)
    assert done.returncode == 1
    assert "there is no data folder" in done.stderr
