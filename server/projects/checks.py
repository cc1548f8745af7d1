"""What a `langgraph.json` says that cannot be done here; the start and `everturn doctor` ask."""

import sys
from dataclasses import dataclass
from typing import Literal

from structlog import get_logger

from everturn.server.errors import ConfigError
from everturn.server.projects.dependencies import missing
from everturn.server.projects.keys import unknown, unknown_guards, used
from everturn.server.projects.project import Project

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader of the file should know."""

    weight: Literal["error", "warning"]
    """An `error` keeps the service from starting."""
    key: str
    says: str


def findings(project: Project) -> list[Finding]:
    """Look at a file without importing anything of its project."""
    found = []
    for key, what in used(project.keys).items():
        if what.treatment == "refused":
            found.append(Finding("error", key, what.says))
        elif what.treatment == "ignored" and not project.ours(key):
            found.append(Finding("warning", key, what.says))
    guards = unknown_guards(project.keys)
    for name in guards:
        says = "unknown, and by its name it guards something: correct it, or leave it out"
        found.append(Finding("error", name, says))
    if names := [name for name in unknown(project.keys) if name not in guards]:
        found.append(Finding("warning", ", ".join(names), "unknown: such a key has no effect"))
    if newer := _newer_python(project.keys.python_version):
        found.append(Finding("warning", "python_version", newer))
    found += [
        Finding("warning", "dependencies", says)
        for says in missing(project.folder, project.keys.dependencies)
    ]
    return found


def check(project: Project) -> None:
    """Warn of what has no effect or is missing.

    Raises:
        ConfigError: a key guards something, and cannot be honoured.
    """
    found = findings(project)
    for each in found:
        if each.weight == "error":
            raise ConfigError(f"{project.name}: {each.key}: {each.says}.")
    for each in found:
        log.warning("project_warning", config=project.name, key=each.key, says=each.says)


def _newer_python(asked: str | None) -> str | None:
    if asked is None:
        return None
    wanted = tuple(int(part) for part in asked.split(".")[:2])
    if wanted <= sys.version_info[:2]:
        return None
    running = ".".join(map(str, sys.version_info[:2]))
    return f"asks for Python {asked}, this is {running}: newer syntax and modules are not there"
