"""Everturn: `everturn.graph`, `everturn.tools`, `everturn.checkpoints` and `everturn.server`.

In a checkout these are links to the folders beside this one, so that `tools` or `graph` of a
project that is served are that project's own.
"""

from pathlib import Path

__version__ = "0.1.0"
"""The one place that says it: commands, routes, logs, metrics and the package read it here."""

for _room in ("graph", "tools", "checkpoints", "server"):
    if not (Path(__file__).parent / _room).is_dir():
        raise ImportError(
            f"{Path(__file__).parent / _room} should be a link to a folder, and is none: clone "
            "with git (on Windows: git config --global core.symlinks true), or install the wheel."
        )
