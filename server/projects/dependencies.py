"""`dependencies` of `langgraph.json`: folders to import from, and packages that must be there.

LangGraph's command installs them all when it builds an image. Here nothing is installed: folders
are put on the path, where an installation would find their modules, and what is missing is named.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from everturn.server.errors import ConfigError


def folders(project: Path, dependencies: list[str], where: str) -> list[Path]:
    """Return the folders to import from: the project's, those it names, and those of their source.

    Raises:
        ConfigError: a folder is not there.
    """
    found = []
    for dependency in (".", *dependencies):
        folder = project / dependency
        if folder.is_dir():
            found += [folder, *_source_folders(folder)]
        elif dependency.startswith("."):  # else the name of an installed package
            raise ConfigError(f"{where}: dependencies: there is no folder {dependency}.")
    return list(dict.fromkeys(each.resolve() for each in found))


def missing(project: Path, dependencies: list[str]) -> list[str]:
    """Say which packages are not installed, or in another version; also those of the folders."""
    said = {}
    for dependency in dependencies:
        folder = project / dependency
        if not folder.is_dir():
            wanted = [dependency]
        else:
            wanted = [*_required_by_pyproject(folder), *_required_by_text(folder)]
        for each in wanted:
            if reason := _why_missing(each):
                said[each] = reason
    return list(said.values())


def _source_folders(folder: Path) -> Iterator[Path]:
    """Where the packages of a `pyproject.toml` are, as the usual build backends are set up."""
    document = _pyproject(folder)
    places = {"src"} if document or (folder / "setup.py").is_file() else set()
    tool = document.get("tool", {})
    setuptools = tool.get("setuptools", {})
    places |= set(setuptools.get("package-dir", {}).values())
    packages = setuptools.get("packages", {})
    if isinstance(packages, dict):
        places |= set(packages.get("find", {}).get("where", ()))
    wheel = tool.get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    places |= {str(Path(each).parent) for each in wheel.get("packages", ())}
    places |= {each.get("from", ".") for each in tool.get("poetry", {}).get("packages", ())}
    yield from (folder / place for place in sorted(places) if (folder / place).is_dir())


def _required_by_pyproject(folder: Path) -> list[str]:
    found = _pyproject(folder).get("project", {}).get("dependencies", [])
    return [each for each in found if isinstance(each, str)]


def _required_by_text(folder: Path) -> list[str]:
    """The lines of a `requirements.txt` that name packages; options are pip's own."""
    file = folder / "requirements.txt"
    if not file.is_file():
        return []
    lines = (line.partition(" #")[0].strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line and line[0] not in "#-"]


def _pyproject(folder: Path) -> Mapping[str, Any]:
    file = folder / "pyproject.toml"
    try:
        return _parsed(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # its own tools say what is wrong with it
        return {}


@lru_cache(maxsize=4)  # a start asks twice
def _parsed(text: str) -> Mapping[str, Any]:
    return tomllib.loads(text)


def _why_missing(text: str) -> str | None:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:  # an address or a file: nobody can say what it would install
        return None
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    try:
        there = _installed(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed: pip install '{text}'"
    if requirement.specifier.contains(there, prereleases=True):
        return None
    return f"{requirement.name} is {there}: pip install '{text}'"


@cache
def _installed(name: str) -> str:
    """The version of a package, whose metadata are long; what is missing may still be installed.

    Raises:
        PackageNotFoundError: it is not there.
    """
    return version(name)
