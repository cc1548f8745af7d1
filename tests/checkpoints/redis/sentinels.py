"""Sentinels that tests start and end themselves."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually_sync


@contextmanager
def watching(binary: str, primary: int, *lines: str) -> Iterator[Path]:
    """A sentinel that watches "main", a primary on a port; its port is in `lines`.

    Args:
        binary: the server, which is a sentinel as well.
        primary: the port of the primary, on loopback.
        lines: lines of sentinel.conf.
    """
    with tempfile.TemporaryDirectory(prefix="ev-") as name:
        folder = Path(name)
        config, socket = folder / "sentinel.conf", folder / "socket"
        begin = (f"dir {folder}", f"unixsocket {socket}", "loglevel warning")
        watch = f"sentinel monitor main 127.0.0.1 {primary} 1"
        config.write_text("\n".join((*begin, watch, *lines, "")))
        process = subprocess.Popen([binary, str(config), "--sentinel"], stdout=subprocess.DEVNULL)
        try:
            eventually_sync(socket.exists)  # it is the last that is opened
            yield socket
        finally:
            process.kill()
            process.wait()
