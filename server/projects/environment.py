"""A project's own environment: what its `.env` says is for the project, not for the service.

Three names are common, and mean an application's own things as often as ours. They count for the
service where the process was started with them, and not where a served project's file has them.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from structlog import get_logger

from everturn.server.environment import ENV_FILE, WrongSetting, read_env_file
from everturn.server.errors import ConfigError

log = get_logger(__name__)

COMMON = {
    "DATABASE_URL": "EVERTURN_DATABASE_URL",
    "REDIS_URL": "EVERTURN_REDIS_URL",
    "LOG_LEVEL": "EVERTURN_LOG_LEVEL",
}
"""Names that are no more ours than the project's, and the name that is ours alone."""

_ROOMS = Path(__file__).resolve().parents[2]


def withheld_from_the_service(config: Path) -> set[str]:
    """Which names in this folder's `.env` are the served project's own.

    None where graphs are Everturn's own, or where the file is not the project's: neither
    beside its `langgraph.json` nor named there by `env`.
    """
    project = _peek(config)
    if project is None or not serves_the_users_graphs(config):
        return set()
    env, folder = project.get("env"), config.resolve().parent
    files = {folder / ENV_FILE.name, *([folder / env] if isinstance(env, str) else [])}
    return set(COMMON) if ENV_FILE.resolve() in {file.resolve() for file in files} else set()


def serves_the_users_graphs(config: Path) -> bool:
    """Whether a `langgraph.json` names none of Everturn's own graphs; read, not loaded."""
    project = _peek(config)
    return project is not None and not _names_our_graphs(project, config)


def give_to_the_project(values: Mapping[str, Any], where: str) -> None:
    """Set variables for the project, once the service has read its settings; what is set stays.

    A common name is then the project's alone, which is said where nothing else was chosen for us.
    """
    for name, value in values.items():
        if value is None or name in os.environ:
            continue
        os.environ[name] = str(value)
        ours = COMMON.get(name)
        if ours and ours not in os.environ and name != "LOG_LEVEL":
            log.warning(
                "left_to_the_project",
                name=name,
                where=where,
                advice=f"Everturn does not use it; to keep its data there, too, set {ours}",
            )


def load_env(env: object, folder: Path, name: str) -> None:
    """Set what `env` of a `langgraph.json` says: a file in the folder, or the values themselves.

    Raises:
        ConfigError: it is neither, or the file cannot be read.
    """
    if isinstance(env, str):
        try:
            give_to_the_project(read_env_file(folder / env), str(folder / env))
        except WrongSetting as error:
            raise ConfigError(f"{name}: env: {error}") from error
    elif isinstance(env, dict):
        give_to_the_project(env, f"{name}: env")
    elif env is not None:
        raise ConfigError(f"{name}: `env` must name a file or map names to values.")


def _peek(config: Path) -> Mapping[str, Any] | None:
    """Read a `langgraph.json`; `None` where there is none, or one that will be refused later."""
    try:
        project = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return None
    return project if isinstance(project, dict) else None


def _names_our_graphs(project: Mapping[str, Any], config: Path) -> bool:
    """Whether a graph of the project is one of Everturn's own."""
    graphs = project.get("graphs")
    entries: Iterable[object] = graphs.values() if isinstance(graphs, dict) else ()
    targets = [each.get("path") if isinstance(each, dict) else each for each in entries]
    return any(_is_ours(str(target).rpartition(":")[0], config) for target in targets)


def _is_ours(location: str, config: Path) -> bool:
    if not location.endswith(".py"):
        return location.split(".", maxsplit=1)[0] == "everturn"
    return (config.resolve().parent / location).resolve().is_relative_to(_ROOMS / "graph")
