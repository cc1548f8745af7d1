"""The data folder: whose it is, who may read it, and how much room there is."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shutil import disk_usage

from everturn.checkpoints.checkup.finding import Finding

_LITTLE_ROOM = 268_435_456  # bytes
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def look_at_folder(folder: Path) -> Iterator[Finding]:
    """Look at the folder and the files in it; conversations are in them."""
    open_to_others = [each for each in (folder, *folder.iterdir()) if _is_open(each)]
    if open_to_others:
        names = ", ".join(each.name for each in open_to_others)
        says = f"others on this machine may read {names}"
        yield Finding("warning", "permissions", says, partial(_close, open_to_others))
    if hasattr(os, "getuid"):
        strange = [each.name for each in folder.iterdir() if each.stat().st_uid != os.getuid()]
        if strange:
            says = f"another user owns {', '.join(strange)}: run as that user, or chown them"
            yield Finding("error", "permissions", says)
    free = disk_usage(folder).free
    says = f"{free // 1_048_576:,} MB are free"
    yield Finding("warning" if free < _LITTLE_ROOM else "ok", "disk", says)


def _is_open(path: Path) -> bool:
    mode = path.lstat().st_mode
    return os.name != "nt" and not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


async def _close(paths: list[Path]) -> None:
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
