"""`everturn keys`: make, list and revoke keys, beside a running service or before its start."""

import asyncio
import json
import re
import sys
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.sql.api_keys import ApiKey, ApiKeyTable
from everturn.server.access.allowance import Allowance, InvalidAllowance, read_allowance
from everturn.server.access.keys import make_key
from everturn.server.access.scopes import Scope
from everturn.server.address import is_loopback
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import InUse, open_rows
from everturn.server.environment import WrongSetting
from everturn.server.observe.audit import audit, audited_to, by_command
from everturn.server.observe.logs import configure_logs
from everturn.server.settings import Settings

_MAX_NAME = 200
_DURATION = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_COLUMNS = ("id", "name", "owner", "scopes", "created", "expires", "last used", "limits", "")
AMOUNTS = tuple(Allowance.model_fields)
"""What a key may have of its own."""


class Wrong(Exception):
    """What the command was asked cannot be done; says what to do."""


def create(
    named: Mapping[str, str],
    name: str,
    *,
    owner: str | None,
    scopes: Sequence[Scope],
    expires: str | None,
    amounts: Mapping[str, Any],
    as_json: bool,
) -> int:
    """Make a key and print it, which is not done again; returns the exit code.

    Args:
        named: the settings of the command line.
        name: of the key.
        owner: who comes with it; None is its name.
        scopes: what it is for.
        expires: after how long, such as `90d`; None is never.
        amounts: what who comes with it may; None of each is what is set for all.
        as_json: print all of it as JSON.
    """
    return _run(_create(named, name, owner or name, scopes, expires, amounts, as_json=as_json))


def show(named: Mapping[str, str], *, as_json: bool) -> int:
    """Print all keys without their secrets, also those that work no more; returns the exit code."""
    return _run(_show(named, as_json=as_json))


def revoke(named: Mapping[str, str], key: str) -> int:
    """Let a key work no more, by its id, or by a name that no other has; returns the exit code."""
    return _run(_revoke(named, key))


async def _create(
    named: Mapping[str, str],
    name: str,
    owner: str,
    scopes: Sequence[Scope],
    expires: str | None,
    amounts: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    settings = load_settings(named)
    allowance = _allowance(amounts, settings)
    names = _text(name, "NAME"), _text(owner, "--owner")
    new = make_key(*names, scopes, _duration(expires), allowance)
    async with open_rows(settings.stores, new=True) as database:
        await ApiKeyTable(database).add(new.row)
    _audit(settings, "key.created", new.row)
    print(json.dumps({"key": new.secret, **_as_json(new.row)}) if as_json else new.secret)
    print("Keep it: it is shown this once.", file=sys.stderr)
    if note := _unasked(settings):
        print(note, file=sys.stderr)


async def _show(named: Mapping[str, str], *, as_json: bool) -> None:
    keys = await _all(named)
    if as_json:
        print(json.dumps([_as_json(key) for key in keys]))
        return
    rows = [_COLUMNS, *map(_row, keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


async def _revoke(named: Mapping[str, str], key: str) -> None:
    settings = load_settings(named)
    async with open_rows(settings.stores) as database:
        table = ApiKeyTable(database)
        keys = await table.all()
        found = [each for each in keys if each.key_id == key] or [
            each for each in keys if each.name == key and each.works()
        ]
        if not found:
            raise Wrong(f"no key that works is {key!r}: see `everturn keys list`")
        if len(found) > 1:
            ids = ", ".join(each.key_id for each in found)
            raise Wrong(f"{len(found)} keys are named {key!r}: say which by its id: {ids}")
        await table.revoke(found[0].key_id)
    _audit(settings, "key.revoked", found[0])
    print(f"Revoked: {found[0].key_id} ({found[0].name}). Services refuse it within seconds.")


def _audit(settings: Settings, action: str, key: ApiKey) -> None:
    about = {"name": key.name, "owner": key.owner, "scopes": " ".join(key.scopes)}
    with audited_to(settings.observe.audit_file):
        audit(action, target=key.key_id, **about, **by_command())


async def _all(named: Mapping[str, str]) -> list[ApiKey]:
    async with open_rows(load_settings(named).stores) as database:
        return await ApiKeyTable(database).all()


def _text(value: str, what: str) -> str:
    if not value.strip() or len(value) > _MAX_NAME or not value.isprintable():
        raise Wrong(f"{what}: 1 to {_MAX_NAME} characters that can be printed")
    return value.strip()


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if found is None or not int(found[1]):
        raise Wrong("--expires: a number and d, h or m, such as 90d")
    return int(found[1]) * _UNITS[found[2]]


def _allowance(amounts: Mapping[str, Any], settings: Settings) -> Allowance:
    allowance = read_allowance(amounts)
    for name, most in (
        ("turn_timeout", settings.models.turn_timeout),
        ("max_body_size", settings.server.max_body_size),
    ):
        own = getattr(allowance, name)
        if own is not None and own > most:
            option, setting = f"--{name.replace('_', '-')}", f"EVERTURN_{name.upper()}"
            raise Wrong(f"{option}: at most {most:.12g}, which {setting} allows everybody")
    return allowance


def _unasked(settings: Settings) -> str:
    """Say where the service that these settings describe asks nobody for a key."""
    access, host = settings.access, settings.server.host
    if access.auth == "off":
        return "The service asks nobody for a key: EVERTURN_AUTH is off."
    if access.auth == "auto" and is_loopback(host) and not settings.oauth.named:
        return f"A service at {host} asks nobody for a key, unless EVERTURN_AUTH is on."
    return ""


def _as_json(key: ApiKey) -> dict[str, Any]:
    shown = ("name", "owner", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
    values = {name: getattr(key, name) for name in shown}
    plain = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}
    return {"id": key.key_id, **plain, "limits": key.allowance or {}, "works": key.works()}


def _row(key: ApiKey) -> tuple[str, ...]:
    moments = (key.created_at, key.expires_at, key.last_used_at)
    shown = [f"{moment:%Y-%m-%d %H:%M}" if moment else "-" for moment in moments]
    state = "" if key.works() else "revoked" if key.revoked_at else "expired"
    limits = ", ".join(f"{name}={value}" for name, value in (key.allowance or {}).items()) or "-"
    return (key.key_id, key.name, key.owner, " ".join(key.scopes), *shown, limits, state)


def _run(work: Coroutine[Any, Any, None]) -> int:
    configure_logs("WARNING")
    try:
        asyncio.run(work)
    except (WrongSetting, CheckpointsError, InUse, InvalidAllowance, Wrong) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    return 0
