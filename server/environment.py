"""The environment and `.env`, read once at the start, with common slips of writing mended."""

import codecs
import os
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

ENV_FILE = Path(".env")

OURS = "EVERTURN_"

TRANSPORT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""How a provider is reached. HTTP clients look for these in the environment, never in `.env`."""


class WrongSetting(Exception):
    """A setting has a value it cannot have; the text names it as the user wrote it."""


def join_env_file(
    settings: Iterable[Sequence[str]], *, withheld: Collection[str] = ()
) -> dict[str, str]:
    """Add to the environment what `.env` says of the service's settings and of `TRANSPORT`.

    The environment wins, also under another of a setting's names. An empty variable
    counts as unset. White space and quotes around a value are no part of it:
    `docker run --env-file` hands quotes on as they stand in the file.

    Args:
        settings: the names of each setting, in capitals; case does not matter where they are set.
        withheld: names that the file has for somebody else.

    Returns:
        Where each variable comes from, `environment` or `.env`, by its name in capitals.

    Raises:
        WrongSetting: the `.env` cannot be read.
    """
    groups = [*settings, *((name,) for name in TRANSPORT)]
    known = {name for group in groups for name in group}
    for name, value in list(os.environ.items()):
        if name.upper() in known:
            _set(name, value)
    sources = {name.upper(): "environment" for name, value in os.environ.items() if value}
    in_file = {name.upper(): value for name, value in read_env_file().items() if _bare(value)}
    for name in withheld:
        in_file.pop(name, None)
    for group in groups:
        if sources.keys().isdisjoint(group):
            for name in in_file.keys() & set(group):
                _set(name, in_file[name])
                sources[name] = ".env"
    return sources


def unknown_settings(known: Collection[str]) -> dict[str, str]:
    """Return names that begin as our settings do and are none, each with the nearest known name.

    They are looked for in the environment and in `.env`; the nearest name is empty where none is
    near.
    """
    names = {name.upper() for name in (*os.environ, *read_env_file())}
    ours = {name.removeprefix(OURS): name for name in known if name.startswith(OURS)}
    return {
        name: next((ours[near] for near in get_close_matches(name.removeprefix(OURS), ours, 1)), "")
        for name in sorted(names - set(known))
        if name.startswith(OURS)
    }


def quick_setting(name: str) -> str | None:
    """Read one setting as it is found, without the time to import them all.

    Raises:
        WrongSetting: the `.env` cannot be read.
    """
    for found in (os.environ, read_env_file()):
        for each, value in found.items():
            if each.upper() == name and value:
                return value
    return None


def read_env_file(path: Path = ENV_FILE) -> dict[str, str]:
    """Return the variables of a `.env`; none where there is no such file.

    Raises:
        WrongSetting: it cannot be read, or a line of it is no setting; says what to do.
    """
    try:
        text = _text(path.read_bytes(), path)
    except FileNotFoundError:
        if path.is_symlink():
            raise WrongSetting(f"{path}: is a link to a file that is not there") from None
        return {}
    except OSError as error:
        if path.is_dir():
            raise WrongSetting(
                f"{path}: is a folder (Docker makes one where a file to mount is missing): "
                "remove it, or put a file in its place"
            ) from None
        raise WrongSetting(
            f"{path}: cannot be read ({error.strerror}): let this user read it, or remove it"
        ) from None
    for binding in parse_stream(StringIO(text)):
        nameless = binding.value is None and binding.key and not binding.key.isidentifier()
        if binding.error or nameless:
            # Not the line itself: it may be a key.
            lead = len(binding.original.string) - len(binding.original.string.lstrip("\r\n"))
            line = binding.original.line + binding.original.string[:lead].count("\n")
            raise WrongSetting(f"{path}: line {line} is no setting: write NAME=value")
    values = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def _text(data: bytes, path: Path) -> str:
    """Decode UTF-8, or the UTF-16 that `>` writes in Windows PowerShell 5."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WrongSetting(f"{path}: line {line} is not UTF-8: save the file as UTF-8") from None
    if "\0" in text:
        raise WrongSetting(f"{path}: is neither UTF-8 nor UTF-16 with a mark: save it as UTF-8")
    return text


def _set(name: str, value: str) -> None:
    if bare := _bare(value):
        os.environ[name] = bare
    else:
        os.environ.pop(name, None)


def _bare(value: str) -> str:
    """Strip white space and one pair of quotes."""
    value = value.strip()
    if value[:1] in {'"', "'"} and value[:1] == value[-1:]:
        return value[1:-1].strip()
    return value
