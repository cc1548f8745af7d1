"""A command imports what it needs, and no more: who types it waits for all of it."""

import json
import subprocess
import sys

from tests.service import ROOT
from tests.waiting import PATIENCE

GRAPHS = {"fastapi", "langchain_core", "langgraph.graph", "langsmith", "requests"}
STORES = {"redis", "sqlalchemy"}
NOT_NEEDED = {
    "config": GRAPHS | STORES,
    "keys": GRAPHS | {"redis"},
    "migrate": GRAPHS | {"redis"},
    "backup": GRAPHS,
    "gc": GRAPHS,
    "doctor": GRAPHS,
}
"""By command, in an order in which one needs no more than those after it."""
LOADING = f"""
import json, sys
from importlib import import_module

loaded = {{}}
for command in {list(NOT_NEEDED)}:
    import_module(f"everturn.server.cli.{{command}}")
    loaded[command] = list(sys.modules)
print(json.dumps(loaded))
"""


def test_commands_import_what_they_need() -> None:
    command = [sys.executable, "-c", LOADING]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    loaded = json.loads(ran.stdout)
    needless = {name: NOT_NEEDED[name] & set(modules) for name, modules in loaded.items()}
    assert not any(needless.values()), needless
