"""`everturn doctor`: what becomes of a project here, and how the stores are."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from everturn.server.cli.config import load_settings
from everturn.server.cli.doctor_stores import look_at_stores
from everturn.server.environment import WrongSetting, read_env_file
from everturn.server.errors import ConfigError
from everturn.server.observe.logs import configure_logs
from everturn.server.projects.checks import Finding, findings
from everturn.server.projects.dependencies import folders
from everturn.server.projects.keys import used
from everturn.server.projects.project import Project, read_project
from everturn.server.projects.targets import flaw, not_installed

_DIFFERS = {
    "http.cors": "methods and headers that it does not name are allowed; LangGraph's server takes "
    "GET alone",
    "http.disable_runs": "closes the routes of Everturn's own, too",
    "http.disable_threads": "closes the routes of Everturn's own, too",
    "http.disable_meta": "closes the routes of Everturn's own, too",
    "checkpointer.serde": "types that it does not allow are not restored; LangGraph's server "
    "restores them with a warning",
    "python_version": "the running Python is used; LangGraph's command builds an image with this "
    "one",
    "dependencies": "nothing is installed; LangGraph's command installs them into an image",
}
"""Where a key does something else than on LangGraph's server."""


def doctor(named: Mapping[str, str], *, repair: bool = False) -> int:
    """Print what a project may expect, and how the stores are; nothing of the project is run.

    Args:
        named: the settings of the command line.
        repair: put right in the stores what can be put right without a risk.

    Returns:
        1 where something keeps the service from starting or working, else 0.
    """
    configure_logs("ERROR")
    try:
        joined = load_settings(named)
        settings = joined.server
        project = read_project(settings.config, named="config" in settings.model_fields_set)
        found = [*findings(project), *_targets(project), *_environment(project)]
    except (ConfigError, WrongSetting) as error:
        print(f"error    {error}")
        return 1
    print(f"{project.name}: {', '.join(project.keys.graphs) or 'no graphs'}\n")
    keys = used(project.keys)
    _print(
        [(key.treatment, name, key.says) for name, key in keys.items() if not project.ours(name)]
    )
    said = {name for name in _DIFFERS if any(f"{key}.".startswith(f"{name}.") for key in keys)}
    _print([("differs", name, _DIFFERS[name]) for name in _DIFFERS if name in said])
    _print([(each.weight, each.key, each.says) for each in found])
    stores = look_at_stores(joined.stores, repair=repair)
    _print(stores)
    wrong = any(each.weight == "error" for each in found)
    print("It cannot be served like this." if wrong else "It can be served, as far as can be seen.")
    return int(wrong or any(weight == "error" for weight, _, _ in stores))


def _targets(project: Project) -> Iterator[Finding]:
    """What keeps the graphs, and all else that is imported, from being found."""
    keys = project.keys
    path = folders(project.folder, keys.dependencies, project.name)
    targets = {f"graphs.{name}": entry.path for name, entry in keys.graphs.items()}
    if not targets:
        yield Finding("error", "graphs", "must map names to graphs")
    if keys.http.app is not None:
        targets["http.app"] = keys.http.app
    if keys.auth is not None:
        targets["auth.path"] = keys.auth.path
    if keys.store and keys.store.path is not None:
        targets["store.path"] = keys.store.path
    if keys.store and keys.store.index and ".py:" in keys.store.index.embed:
        targets["store.index.embed"] = keys.store.index.embed
    for key, target in targets.items():
        if reason := flaw(target, project.folder, path):
            yield Finding("error", key, reason)
        for module in not_installed(target, project.folder, path):
            yield Finding("error", key, f"imports {module!r}, which is not installed")


def _environment(project: Project) -> Iterator[Finding]:
    """Variables that the project names, and that have no value."""
    env = project.config.get("env")
    if isinstance(env, str):
        file = project.folder / env
        if not file.is_file():
            yield Finding("warning", "env", f"there is no file {Path(env)}")
            return
        env = read_env_file(file)
    if isinstance(env, dict):
        for name, value in env.items():
            if value in {"", None} and not os.environ.get(name):
                yield Finding("warning", "env", f"{name} has no value")


def _print(rows: list[tuple[str, str, str]]) -> None:
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for first, second, third in rows:
        print(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}")
    print()
