"""The keys of langgraph.json: all of LangGraph's are known, and what is wrong says where."""

import json
from pathlib import Path
from typing import Any

import pytest

from everturn.server.errors import ConfigError
from everturn.server.projects.checkpointer import load_serde, thread_ttl
from everturn.server.projects.checks import Finding, check, findings
from everturn.server.projects.keys import table, unknown, used
from everturn.server.projects.project import load_project, read_project
from everturn.server.runs.webhook_policy import load_policy
from everturn.server.settings import Settings
from tests.service import ROOT

PROJECTS = ROOT / "tests" / "projects"
GRAPHS = {"g": "./graph.py:graph"}


def write(folder: Path, **keys: Any) -> Path:
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": GRAPHS, **keys}))
    return config


def test_the_table_has_every_key_of_langgraphs_own_schema() -> None:
    schema = Path(__file__).with_name("langgraph_keys.txt").read_text().split()
    assert set(table()) == {*schema, "store.path", "$schema"}


def test_each_key_says_what_becomes_of_it() -> None:
    assert all(key.says for key in table().values())
    kinds: dict[str, set[str]] = {}
    for name, key in table().items():
        kinds.setdefault(key.treatment, set()).add(name)
    assert kinds["refused"] == {"encryption", "encryption.path"}
    assert kinds["ignored"] == {"checkpointer.path", "priority", "priority.path"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "flag": ({"http": {"disable_runs": "yes"}}, "http.disable_runs: must be true or false"),
    "section": ({"http": []}, "http: must be an object"),
    "ttl": ({"checkpointer": {"ttl": {"default_ttl": 0}}}, "checkpointer.ttl.default_ttl: "),
    "strategy": ({"checkpointer": {"ttl": {"strategy": "x"}}}, "'delete' or 'keep_latest'"),
    "dims": ({"store": {"index": {"embed": "x"}}}, "store.index.dims: is missing"),
    "prefix": ({"http": {"mount_prefix": "api"}}, "http.mount_prefix: must begin with /"),
    "slash": ({"http": {"mount_prefix": "/api/"}}, "http.mount_prefix: must begin with /"),
    "regex": ({"http": {"cors": {"allow_origin_regex": "("}}}, "is no regular expression"),
    "python": ({"python_version": 3.11}, "python_version: must be a text"),
    "headers": ({"webhooks": {"headers": {"x": 1}}}, "webhooks.headers.x: "),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_names_file_and_key(tmp_path: Path, case: str) -> None:
    keys, says = WRONG[case]
    config = write(tmp_path, **keys)
    with pytest.raises(ConfigError) as refused:
        read_project(config)
    assert str(refused.value).startswith(f"{config}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("encryption", [{"path": "./enc.py:enc"}, {}])
def test_encryption_refuses_to_start(tmp_path: Path, encryption: dict[str, Any]) -> None:
    project = read_project(write(tmp_path, encryption=encryption))
    with pytest.raises(ConfigError, match="encryption: the project's own encryption cannot"):
        check(project)


def test_null_is_not_said(tmp_path: Path) -> None:
    project = read_project(write(tmp_path, encryption=None, http={"cors": None}, store=None))
    assert findings(project) == []
    assert set(used(project.keys)) == {"graphs.g.path"}


def test_unknown_keys_are_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    http = {"mount_prefiks": "/x", "cors": {"origins": []}}
    graphs = {"g": {"path": "./graph.py:graph", "descripton": "x"}}
    project = read_project(write(tmp_path, graphs=graphs, http=http, zzz=1))
    assert unknown(project.keys) == [
        "zzz",
        "graphs.g.descripton (did you mean graphs.g.description?)",
        "http.mount_prefiks (did you mean http.mount_prefix?)",
        "http.cors.origins (did you mean http.cors.allow_origins?)",
    ]
    assert len(findings(project)) == 1


@pytest.mark.parametrize(
    "keys",
    [
        {"http": {"disable_treads": True}},
        {"http": {"disable_future": True}},
        {"Auth": {"path": "./auth.py:auth"}},
        {"auht": {"path": "./auth.py:auth"}},
        {"auth": {"path": "./auth.py:auth", "cash": {}}},
        {"encription": {"path": "./x.py:x"}},
    ],
)
def test_an_unknown_key_that_would_guard_something_refuses_to_start(
    tmp_path: Path, keys: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="by its name it guards something"):
        check(read_project(write(tmp_path, **keys)))


@pytest.mark.parametrize("key", ["author", "description", "authors", "notes"])
def test_a_key_that_only_sounds_like_a_guard_is_a_warning(tmp_path: Path, key: str) -> None:
    check(read_project(write(tmp_path, **{key: "x"})))


def test_what_has_no_effect_or_is_missing_is_found() -> None:
    found = findings(read_project(PROJECTS / "src_layout" / "langgraph.json"))
    assert {each.weight for each in found} == {"warning"}
    by_key = {each.key: each.says for each in found}
    assert "asks for Python 3.99" in by_key["python_version"]
    assert by_key["dependencies"] == (
        "no-such-package-here is not installed: pip install 'no-such-package-here>=1'"
    )
    assert "in the order of their arrival" in by_key["priority"]
    assert set(by_key) - {"python_version", "dependencies", "priority"} == {
        "gaphs (did you mean graphs?), http.mount_prefiks (did you mean http.mount_prefix?)"
    }


def test_a_package_in_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r other.txt\nlanggraph<1  # old\n\n# no\n")
    project = read_project(write(tmp_path, dependencies=[".", "git+https://example.com/x.git"]))
    (found,) = findings(project)
    assert found == Finding("warning", "dependencies", found.says)
    assert found.says.endswith("pip install 'langgraph<1'")


def test_built_in_graphs_where_nobody_named_a_file(tmp_path: Path) -> None:
    project = read_project(tmp_path / "langgraph.json", named=False)
    assert project.path is None
    assert list(project.keys.graphs) == ["agent", "chat", "simple", "planner", "team"]
    with pytest.raises(ConfigError, match="no such file"):
        read_project(tmp_path / "langgraph.json")


def test_langgraphs_variable_names_the_file_after_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGGRAPH_CONFIG", "theirs.json")
    settings = Settings.read({}).server
    assert settings.config == Path("theirs.json")
    assert "config" in settings.model_fields_set
    monkeypatch.setenv("EVERTURN_CONFIG", "ours.json")
    assert Settings.read({}).server.config == Path("ours.json")


def test_a_missing_module_is_named_with_advice(tmp_path: Path) -> None:
    from everturn.server.projects.graphs import load_graphs

    (tmp_path / "own_missing.py").write_text("import no_such_module_here\n")
    config = write(tmp_path, graphs={"g": "./own_missing.py:graph"})
    with pytest.raises(ConfigError, match="install what holds no_such_module_here"):
        load_graphs(load_project(config))


def test_lifetimes_and_types_as_the_service_takes_them() -> None:
    project = read_project(PROJECTS / "lifetimes" / "langgraph.json")
    ttl = thread_ttl(project)
    assert ttl.for_new_threads == {"ttl": 90, "strategy": "delete"}
    assert ttl.sweeps == {"seconds": 600, "limit": 5}
    assert load_serde(project) is not None
    plain = read_project(ROOT / "langgraph.json")
    assert thread_ttl(plain).for_new_threads is None
    assert thread_ttl(plain).sweeps == {"limit": None}
    assert load_serde(plain) is None


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"X": "${{ env.HOME }}"}, "HOME does not begin with LG_WEBHOOK_"),
        ({"X": "a ${{env.LG_WEBHOOK_NOT_SET}}"}, "the environment has no LG_WEBHOOK_NOT_SET"),
    ],
)
def test_headers_of_webhooks_that_cannot_be_filled(
    tmp_path: Path, headers: dict[str, str], says: str
) -> None:
    project = load_project(write(tmp_path, webhooks={"headers": headers}))
    with pytest.raises(ConfigError, match=says):
        load_policy(project)
