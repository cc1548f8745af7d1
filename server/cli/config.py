"""`everturn config`: every setting, its value, and where the value came from."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from pydantic import AliasChoices, BaseModel, HttpUrl, SecretStr, ValidationError

from everturn.graph.models.settings import NO_PROVIDER, ModelSettings, without_user
from everturn.graph.models.transport import WrongTransport, check_transport
from everturn.server.environment import (
    ENV_FILE,
    WrongSetting,
    join_env_file,
    read_env_file,
    unknown_settings,
)
from everturn.server.projects.environment import (
    serves_the_users_graphs,
    withheld_from_the_service,
)
from everturn.server.settings import FIELDS, ROOMS, Settings, WrongSettings


class Origin(NamedTuple):
    """Where a setting comes from."""

    name: str
    """As the user wrote it; for a default, as it is best written."""
    source: str
    """`command line`, `environment`, `.env` or `default`."""


class Loaded(NamedTuple):
    """The settings, and what there is to say of them."""

    settings: Settings
    origins: dict[str, Origin]
    """By the fields' names."""
    unknown: dict[str, str]
    """What looks like a setting and is none, with the nearest name that is one."""
    project: dict[str, str]
    """What `.env` has for the served project, not for us."""


def load_settings(named: Mapping[str, str]) -> Settings:
    """Read the settings; `named` are those of the command line, which win.

    Raises:
        WrongSetting: naming every wrong setting and its reason, without its value.
    """
    return load(named).settings


def load(named: Mapping[str, str], *, models_wanted: bool = False) -> Loaded:
    """Read the settings as `load_settings` does, and where each comes from.

    Where the served graphs are none of ours, a provider's wrong settings are no error, unless
    `models_wanted`: they may be the project's own.
    """
    groups = [_names(field) for field in FIELDS]
    early = join_env_file([_names("config")])  # first: whose file is `.env`?
    path = named.get("config") or next(filter(None, map(os.environ.get, _names("config"))), None)
    project = Path(path or FIELDS["config"].default)
    withheld = withheld_from_the_service(project)
    from_file = {name: source for name, source in early.items() if source == ENV_FILE.name}
    origins = _origins(named, join_env_file(groups, withheld=withheld) | from_file)
    needless = serves_the_users_graphs(project) and not models_wanted
    settings = _read(named, origins, models_needless=needless)
    file = read_env_file()
    unknown = unknown_settings({name for group in groups for name in group})
    return Loaded(settings, origins, unknown, {k: v for k, v in file.items() if k in withheld})


def _read(
    named: Mapping[str, str], origins: Mapping[str, Origin], *, models_needless: bool
) -> Settings:
    """Read the rooms; without a provider where its settings are wrong and may be needless."""
    try:
        # Strings, validated like the environment's, which `.env` has joined.
        settings = Settings.read(named)
        check_transport(settings.models.provider_url)
    except WrongTransport as error:
        reason = str(error)
    except WrongSettings as error:
        reason = "; ".join(each for room in error.rooms for each in _reasons(room, origins))
        if {room.title for room in error.rooms} != {ModelSettings.__name__}:
            raise WrongSetting(reason) from None
    else:
        return settings
    if not models_needless:
        raise WrongSetting(reason)
    try:
        settings = Settings.read({**named, **NO_PROVIDER})
        check_transport(None)
    except (WrongSettings, WrongTransport):
        raise WrongSetting(reason) from None
    return replace(settings, refused_models=reason)


def show(named: Mapping[str, str]) -> int:
    """Print the settings, one a line, in the order of their names; secrets are masked.

    On a terminal each fits its width, with what it means below. What else there is to say goes to
    standard error: the table is all that a pipe reads.
    """
    try:
        loaded = load(named)
    except WrongSetting as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(table(loaded, width)))
    for note in notes(loaded):
        print(note, file=sys.stderr)
    return 0


def table(loaded: Loaded, width: int | None) -> list[str]:
    """The lines of `everturn config`: whole ones, or cut and wrapped to a terminal's width."""
    rows = []
    for room in ROOMS:
        for field, value in getattr(loaded.settings, room):
            origin, description = loaded.origins[field], FIELDS[field].description or ""
            unused = loaded.settings.refused_models and field in NO_PROVIDER
            source = f"{origin.source}, not used" if unused and value is None else origin.source
            rows.append((origin.name, _shown(value), source, description))
    rows.sort(key=lambda row: row[0].lstrip("-"))
    names, values, sources = (max(len(row[column]) for row in rows) for column in range(3))
    if width is not None:
        values = max(1, min(values, width - names - sources - 4))
    lines = []
    for name, value, source, description in rows:
        shown = value if len(value) <= values else f"{value[: values - 1]}…"
        line = f"{name:{names}}  {shown:{values}}  {source:{sources}}"
        if width is None:
            lines.append(f"{line}  {description}".rstrip())
        else:
            below = [f"    {part}" for part in wrap(description, width - 4)]
            lines += [line.rstrip()[:width], *below]
    return lines


def notes(loaded: Loaded) -> list[str]:
    """What was read, and what was not taken: a line each."""
    file = Path.cwd() / ENV_FILE
    read = f"Read: the environment and {file}" if file.exists() else "Read: the environment"
    lines = [f"{read}." if file.exists() else f"{read}; there is no {file}."]
    lines += [unknown_note(name, near) for name, near in loaded.unknown.items()]
    lines += [f"{name} in .env is the project's own." for name in loaded.project]
    if reason := loaded.settings.refused_models:
        lines.append(f"No provider is used for the project's own graphs: {reason}.")
    return lines


def unknown_note(name: str, near: str) -> str:
    """Say of a name that it is no setting, and which one may be meant."""
    return f"{name} is no setting" + (f": {near} is." if near else ".")


def _reasons(error: ValidationError, origins: Mapping[str, Origin]) -> Iterator[str]:
    """Each flaw of a room's settings, by the name that the user wrote, without its value."""
    for flaw in error.errors(include_url=False, include_input=False):
        field, *inside = map(str, flaw["loc"] or ("",))
        where = [origins[_field(field)].name if field else "", ".".join(inside)]
        yield ": ".join([*filter(None, where), flaw["msg"].removeprefix("Value error, ")])


def _origins(named: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, Origin]:
    """Where each field's value comes from, given where each variable does."""
    origins = {}
    for field in FIELDS:
        names = _names(field)
        name = next((each for each in names if each in sources), names[0])
        origins[field] = Origin(name, sources.get(name, "default"))
        if field in named:
            option = f"--{field.replace('_', '-')}"
            origins[field] = Origin(f"{option} ({names[0]})", "command line")
    return origins


def _names(field: str) -> list[str]:
    """The environment variables that set a field, the conventional one first."""
    alias = FIELDS[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"EVERTURN_{field.upper()}"]


def _field(located: str) -> str:
    """The field that a validation error locates, by the field's name or one of its variables."""
    return next(field for field in FIELDS if located == field or located in _names(field))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case SecretStr():
            return "********"
        case HttpUrl():
            return without_user(value)
        case list() | dict():  # of what has a name, such as an MCP server, only that
            return ",".join(map(_name_of, value)) or "-"
        case _:
            return str(value) or "-"


def _name_of(entry: Any) -> str:
    return str(getattr(entry, "name", "?")) if isinstance(entry, BaseModel) else str(entry)
