"""`everturn config`: every setting, its value, and where the value came from."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from dotenv import dotenv_values
from pydantic import AliasChoices, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from server.settings import Settings


class WrongSetting(Exception):
    """A setting has a value it cannot have; the text names it as the user wrote it."""


def load_settings(named: Mapping[str, str]) -> Settings:
    """Read the settings; `named` are those of the command line, which win.

    Raises:
        WrongSetting: naming every wrong setting and its reason, without its value.
    """
    try:
        return Settings(**named)  # type: ignore[arg-type]  # strings, validated like the environment's
    except ValidationError as error:
        reasons = []
        for flaw in error.errors(include_url=False, include_input=False):
            field = str(flaw["loc"][0]) if flaw["loc"] else ""
            name = (
                _names(field, Settings.model_fields[field])[0]
                if field in Settings.model_fields
                else field
            )
            reasons.append(
                f"{name}: {flaw['msg']}" if name else flaw["msg"].removeprefix("Value error, ")
            )
        raise WrongSetting("; ".join(reasons)) from None


def show(named: Mapping[str, str]) -> int:
    """Print the settings, one a line; secrets are masked."""
    try:
        settings = load_settings(named)
    except WrongSetting as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    file = dotenv_values(".env")
    rows = []
    for field, info in Settings.model_fields.items():
        names = _names(field, info)
        value = _shown(getattr(settings, field))
        rows.append((names[0], value, _source(field, names, named, file), info.description or ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]).rstrip())
    return 0


def _names(field: str, info: FieldInfo) -> list[str]:
    """The environment variables that set a field, the conventional one first."""
    if isinstance(info.validation_alias, AliasChoices):
        return [str(choice) for choice in info.validation_alias.choices]
    return [f"EVERTURN_{field.upper()}"]


def _source(field: str, names: list[str], named: Mapping[str, str], file: Mapping[str, Any]) -> str:
    if field in named:
        return "command line"
    environment = {name.upper() for name in os.environ}
    if any(name in environment for name in names):
        return "environment"
    return ".env" if any(name in {key.upper() for key in file} for name in names) else "default"


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, list):
        return ",".join(value) or "-"
    return "-" if value is None else str(value)
