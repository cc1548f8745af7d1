"""`everturn config`: every setting, its value, and where the value came from."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import AliasChoices, HttpUrl, SecretStr, ValidationError

from everturn.graph.models.settings import without_user
from everturn.graph.models.transport import WrongTransport, check_transport
from everturn.server.environment import WrongSetting, join_env_file
from everturn.server.settings import FIELDS, ROOMS, Settings, WrongSettings


class Origin(NamedTuple):
    """Where a setting comes from."""

    name: str
    """As the user wrote it; for a default, as it is best written."""
    source: str
    """`command line`, `environment`, `.env` or `default`."""


def load_settings(named: Mapping[str, str]) -> Settings:
    """Read the settings; `named` are those of the command line, which win.

    Raises:
        WrongSetting: naming every wrong setting and its reason, without its value.
    """
    return load_with_origins(named)[0]


def load_with_origins(named: Mapping[str, str]) -> tuple[Settings, dict[str, Origin]]:
    """Read the settings, and where each comes from."""
    origins = _origins(named, join_env_file(map(_names, FIELDS)))
    try:
        # Strings, validated like the environment's, which `.env` has joined.
        settings = Settings.read(named)
        check_transport(settings.models.provider_url)
    except WrongTransport as error:
        raise WrongSetting(str(error)) from None
    except WrongSettings as error:
        reasons = [reason for room in error.rooms for reason in _reasons(room, origins)]
        raise WrongSetting("; ".join(reasons)) from None
    return settings, origins


def show(named: Mapping[str, str]) -> int:
    """Print the settings, one a line; secrets are masked."""
    try:
        settings, origins = load_with_origins(named)
    except WrongSetting as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    rows = []
    for room in ROOMS:
        for field, value in getattr(settings, room):
            origin, description = origins[field], FIELDS[field].description or ""
            rows.append((origin.name, _shown(value), origin.source, description))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]).rstrip())
    return 0


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
            return ",".join(map(str, value)) or "-"
        case _:
            return str(value)
