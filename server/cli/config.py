"""`everturn config`: every setting, its value, and where the value came from."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import AliasChoices, HttpUrl, SecretStr, ValidationError

from everturn.graph.models.settings import without_user
from everturn.graph.models.transport import WrongTransport, check_transport
from everturn.server.environment import WrongSetting, join_env_file
from everturn.server.settings import Settings


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
    origins = _origins(named, join_env_file(map(_names, Settings.model_fields)))
    try:
        # Strings, validated like the environment's, which `.env` has joined.
        settings = Settings(_env_file=None, **named)  # type: ignore[arg-type]
        check_transport(settings.provider_url)
    except WrongTransport as error:
        raise WrongSetting(str(error)) from None
    except ValidationError as error:
        reasons = []
        for flaw in error.errors(include_url=False, include_input=False):
            reason = flaw["msg"].removeprefix("Value error, ")
            if inside := ".".join(map(str, flaw["loc"][1:])):
                reason = f"{inside}: {reason}"
            if flaw["loc"]:
                reason = f"{origins[_field(str(flaw['loc'][0]))].name}: {reason}"
            reasons.append(reason)
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
    for field, origin in origins.items():
        description = Settings.model_fields[field].description or ""
        rows.append((origin.name, _shown(getattr(settings, field)), origin.source, description))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]).rstrip())
    return 0


def _origins(named: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, Origin]:
    """Where each field's value comes from, given where each variable does."""
    origins = {}
    for field in Settings.model_fields:
        names = _names(field)
        name = next((each for each in names if each in sources), names[0])
        origins[field] = Origin(name, sources.get(name, "default"))
        if field in named:
            option = f"--{field.replace('_', '-')}"
            origins[field] = Origin(f"{option} ({names[0]})", "command line")
    return origins


def _names(field: str) -> list[str]:
    """The environment variables that set a field, the conventional one first."""
    alias = Settings.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"EVERTURN_{field.upper()}"]


def _field(located: str) -> str:
    """The field that a validation error locates, by the field's name or one of its variables."""
    return next(
        field for field in Settings.model_fields if located == field or located in _names(field)
    )


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
