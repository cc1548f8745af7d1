"""Where the server of a data folder listens, for every process that looks for it."""

import os
import signal
import socket
import stat
import struct
import sys
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from everturn.checkpoints.errors import DataDirError

MAX_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""Bytes that the system takes for a socket's path: man 7 unix; man 4 unix on macOS."""
_SHORT = "/tmp"  # noqa: S108 - what is made there is checked, see `prepare_address` # nosec B108


def address_of(folder: Path) -> Path:
    """Name the socket of a data folder: in it, if the system takes so long a path.

    Otherwise it has a folder under /tmp, whose name follows from the data folder's: TMPDIR may
    differ from process to process.
    """
    address = folder / "valkey.sock"
    with suppress(UnicodeEncodeError):  # a name in no known encoding: a URL cannot carry it
        if len(str(address).encode()) <= MAX_PATH_BYTES:
            return address
    digest = blake2b(os.fsencode(folder), digest_size=8).hexdigest()
    return Path(f"{_SHORT}/everturn-{os.geteuid()}-{digest}/{address.name}")


def url_of(address: Path) -> str:
    """Spell the address as redis-py's clients read it."""
    return f"unix://{quote(str(address))}"


def prepare_address(folder: Path, address: Path) -> None:
    """Make the folder of a socket that is not in the data folder, and see that it is ours alone.

    Raises:
        DataDirError: it is another user's, who could answer in the server's place.
    """
    if address.parent == folder:
        return
    try:
        address.parent.mkdir(mode=0o700, exist_ok=True)
        found = address.parent.lstat()
        if found.st_uid == os.geteuid() and found.st_mode == stat.S_IFDIR | 0o700:
            return
        reason = "it is not ours alone"
    except OSError as error:
        reason = str(error)
    raise DataDirError(
        f"the path of the data folder {str(folder)!r} is too long for a socket in it, and "
        f"{str(address.parent)!r} cannot take its place ({reason}): use a shorter path"
    )


def clear_address(folder: Path, address: Path) -> None:
    """Remove what a killed server leaves, and the socket's own folder if it had one."""
    with suppress(OSError):
        address.unlink(missing_ok=True)
        if address.parent != folder:
            address.parent.rmdir()


def signal_listener(address: Path, signum: signal.Signals) -> None:
    """Send a signal to the process that listens at `address`, if there is one.

    The kernel says which it is: a number that was written down could be another's by now.
    """
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        connection.connect(str(address))
        if sys.platform == "darwin":
            pid = connection.getsockopt(0, 2)  # SOL_LOCAL, LOCAL_PEERPID: sys/un.h
        else:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            (pid, _, _) = struct.unpack("3i", credentials)
        if pid > 0:  # else it is in another container
            os.kill(pid, signum)
            os.kill(pid, signal.SIGCONT)  # a stopped process does not receive it
