"""The names that users import: they stay where they are, whatever moves behind them."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from langgraph.graph.state import CompiledStateGraph

from tests.service import ROOT
from tests.waiting import PATIENCE

PUBLIC = {
    "everturn.checkpoints.checkpointer": ["open_checkpointer"],
    "everturn.checkpoints.errors": [
        "CheckpointsError",
        "StaleWriter",
        "StoreMisconfigured",
        "StoreUnavailable",
    ],
    "everturn.checkpoints.redis": ["AsyncRedisSaver", "RedisSaver"],
    "everturn.graph.agent": ["builder", "graph"],
    "everturn.graph.chat": ["builder", "graph"],
    "everturn.graph.context": ["Context"],
    "everturn.graph.simple": ["builder", "graph"],
    "everturn.server.__main__": ["main"],
    "everturn.tools": ["UnknownTool", "find_tools", "get_tool", "load_tools", "tool_schemas"],
    "everturn.tools.kit": ["declare", "do_not_cache", "idempotency_key"],
    "everturn.tools.kit.web": ["BadAnswer", "Refused", "Unreachable", "WebError", "current_web"],
}
"""What the README and the docs tell users to import. A name goes with a new version only."""


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_there(module: str) -> None:
    loaded = import_module(module)
    missing = [name for name in PUBLIC[module] if not hasattr(loaded, name)]
    assert missing == []
    offered = getattr(loaded, "__all__", PUBLIC[module])
    assert set(PUBLIC[module]) <= set(offered), "a type checker refuses what __all__ leaves out"


def graphs_of_the_project() -> list[str]:
    project = json.loads((ROOT / "langgraph.json").read_text())
    return list(project["graphs"].values())


@pytest.mark.parametrize("path", graphs_of_the_project())
def test_a_graph_of_the_project_is_the_one_that_is_imported(path: str) -> None:
    file, _, name = path.removeprefix("./").partition(":")
    module = "everturn." + ".".join(Path(file).with_suffix("").parts)
    graph = getattr(import_module(module), name)
    assert isinstance(graph, CompiledStateGraph)
    assert not graph.checkpointer, "whoever serves the graph gives it a checkpointer"


FIRST = """
import os, sys
from importlib import import_module

modules = sys.argv[1:]
# What others wrote is imported once for all: the circles that are looked for are ours.
for module in modules:
    import_module(module)
for name in [each for each in sys.modules if each.partition(".")[0] == "everturn"]:
    del sys.modules[name]
failed = []
for module in modules:
    sys.stdout.flush()
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            failed.append(module)
    else:
        code = 1
        try:
            import_module(module)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
sys.exit(", ".join(failed) or 0)
"""


def test_each_public_module_can_be_the_first_import() -> None:
    """No import circle shows only when another module was imported before."""
    ran = subprocess.run(
        [sys.executable, "-c", FIRST, *PUBLIC],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
