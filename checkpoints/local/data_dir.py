"""The data folder: made, checked, and locked.

The kernel takes a lock back when the last process that has it open ends, however it ends, so
nothing has to be cleaned up after `kill -9`. The lock files stay: a process that removed one could
take it from another that has just opened it, and two would hold the folder.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryFile

from everturn.checkpoints.errors import DataDirError

_ANOTHER = "name another folder with --data-dir or EVERTURN_DATA_DIR"


@contextmanager
def hold_data_dir(path: Path, *, alone: bool = True) -> Iterator[Path]:
    """Keep the data folder for one `serve`; yields its absolute path.

    Unless it is `alone`, processes that `share_data_dir` may use the folder as well.

    Raises:
        DataDirError: it cannot be made or written, or a process holds it; says what to do.
    """
    folder = prepare_data_dir(path)
    lock = try_lock(folder / "serve.lock")
    if lock is None:
        raise DataDirError(
            f"the data folder {str(folder)!r} is held by {holder_of(folder / 'serve.lock')}: "
            f"stop that, or {_ANOTHER}"
        )
    try:
        with _alone_in(folder) if alone else nullcontext():
            yield folder
    finally:
        os.ftruncate(lock, 0)  # it listens no more
        os.close(lock)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    lock = try_lock(folder / "share.lock")
    if lock is None:
        raise DataDirError(
            f"the data folder {str(folder)!r} is used by an `everturn worker`, or by one of a "
            f"`serve` that was killed: stop it, start with --workers 2 or more, or {_ANOTHER}"
        )
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def share_data_dir(path: Path) -> Iterator[Path]:
    """Use the data folder beside the `serve` that holds it; yields its absolute path.

    Raises:
        DataDirError: none holds it, or one that wants to be alone; says what to do.
    """
    folder, otherwise = prepare_data_dir(path), "name EVERTURN_REDIS_URL and EVERTURN_DATABASE_URL"
    process, _ = _written_in(folder / "serve.lock")
    if process is None or not _lives(process):
        raise DataDirError(
            f"no service runs on the data folder {str(folder)!r}: start "
            f"`everturn serve --workers 2` there, or {otherwise}"
        )
    lock = try_lock(folder / "share.lock", shared=True)
    if lock is None:
        raise DataDirError(
            f"{holder_of(folder / 'serve.lock')} uses the data folder {str(folder)!r} alone: "
            f"start it with --workers 2 or more, or {otherwise}"
        )
    try:
        yield folder
    finally:
        os.close(lock)


def prepare_data_dir(path: Path) -> Path:
    """Make the folder (mode 0700) where there is none, and return its absolute path.

    Raises:
        DataDirError: there is no folder to write to; says what to do.
    """
    try:
        folder = path.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):  # rights alone do not show a read-only or full disk
            pass
    # ValueError: a character that no path may hold; RuntimeError: links that lead in a circle.
    except (OSError, ValueError, RuntimeError) as error:
        reason = "it is no folder" if isinstance(error, FileExistsError) else _reason(error)
        raise DataDirError(
            f"cannot use {str(path)!r} as the data folder ({reason}): "
            f"make it writable for this user, or {_ANOTHER}"
        ) from error
    return folder


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file of the data folder, made if need be; `None` if it is locked already.

    A `shared` lock leaves room for others of its kind.

    Returns:
        A descriptor. The lock lasts until it is closed, also in every process that inherited it.

    Raises:
        DataDirError: the folder is gone or cannot lock files.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor, shared=shared)
            if not shared:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, str(os.getpid()).encode())
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        return None
    except OSError as error:
        raise DataDirError(
            f"cannot lock {str(path)!r} ({_reason(error)}): "
            f"make it this user's, on a disk that takes locks, or {_ANOTHER}"
        ) from error
    return descriptor


def holder_of(path: Path) -> str:
    """Name the process that locked a file, for people."""
    process, address = _written_in(path)
    if process is None:  # it has not yet written its number, or Windows hides it
        return "another process"
    return f"process {process} at {address}" if address else f"process {process}"


def publish_address(folder: Path, url: str) -> None:
    """Write where the `serve` that holds a data folder listens, for clients on this machine.

    It is a convenience: where it cannot be written, or the folder is not held, nothing happens.
    """
    with suppress(OSError), (folder / "serve.lock").open("r+") as lock:
        lock.write(f"{os.getpid()}\n{url}\n")


def published_address(folder: Path) -> str | None:
    """Return where the `serve` of a data folder listens; `None` where none is running.

    What a process left that was killed does not count.
    """
    process, address = _written_in(folder / "serve.lock")
    return address if process is not None and _lives(process) else None


def _written_in(lock: Path) -> tuple[int | None, str | None]:
    """Read a lock's process and, where that has published it, its address."""
    try:
        number, *address = lock.read_text().splitlines()
        return int(number), address[0] if address else None
    except (OSError, ValueError):
        return None, None


def _lives(process: int) -> bool:
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _lock(descriptor: int, *, shared: bool) -> None:
    """Raises BlockingIOError if another has the lock. On Windows no lock is shared."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # what is locked there cannot be read
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        # flock, not lockf: it also keeps two services of one process apart.
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
