"""The embedded Valkey: a real server for those who have none, in the data folder.

Any number of processes may open a folder. One owns the server: it starts it, starts it again if it
dies, and stops it at the end. The others attach; the first of them takes over when the owner
has gone. Two locks, which the kernel takes back at any death, hold this together:

    valkey.owner.lock   is held by the owner
    valkey.lock         is held by the server itself: two never write one append-only file

Each process keeps an idle connection, a link: its end says that the server has gone.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError, StoreMisconfigured, StoreUnavailable
from everturn.checkpoints.local.data_dir import holder_of, prepare_data_dir, try_lock
from everturn.checkpoints.local.valkey.address import (
    address_of,
    clear_address,
    prepare_address,
    signal_listener,
    url_of,
)
from everturn.checkpoints.local.valkey.link import Link
from everturn.checkpoints.local.valkey.process import AppendFsync, ValkeyProcess, find_binary

log = get_logger(__name__)

T = TypeVar("T")

# Seconds.
_PATIENCE = 10.0  # with a server that says nothing
_SHUTDOWN_SECONDS = 5.0  # for a server to write what is unwritten and end
_RETRY = 0.005
_SETTLED = 10.0  # a server that dies younger has died of something that may still be there
_MAX_PAUSE = 30.0  # between starts of such a server

_NEWER_FILE = "Can't handle RDB format version"


@asynccontextmanager
async def open_embedded(
    data_dir: Path, *, appendfsync: AppendFsync = "everysec"
) -> AsyncIterator[str]:
    """Start the Valkey of a data folder, or attach to it, and yield its URL, `unix://…`.

    The URL stays true when the server is started again, by this process or by another. Nothing
    that was acknowledged is lost if a process is killed; a power cut may cost the last second,
    unless `appendfsync` is "always".

    Raises:
        StoreMisconfigured: this platform has no embedded Valkey, or it cannot be started.
        StoreUnavailable: it does not answer.
        DataDirError: the data folder cannot be used.
    """
    find_binary()  # first: without one, a message about folders would mislead
    keeper = _Keeper(prepare_data_dir(data_dir), appendfsync)
    try:
        await keeper.find_or_start()
        keeping = asyncio.create_task(keeper.keep(), name="embedded Valkey")
        try:
            yield url_of(keeper.address)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
    finally:
        await keeper.close()


class _Keeper:
    """This process' part in keeping the server of a folder: its owner, or attached to it."""

    def __init__(self, folder: Path, appendfsync: AppendFsync) -> None:
        self.address = address_of(folder)
        self._folder = folder
        self._appendfsync: AppendFsync = appendfsync
        self._ownership: int | None = None  # the descriptor of the owner's lock
        self._server: ValkeyProcess | None = None  # the owner's child
        self._link: Link | None = None

    async def find_or_start(self) -> None:
        """Return when there is a link to a server that answers; as the owner, start one."""
        give_up = _now() + _PATIENCE
        while not self._owns():
            prepare_address(self._folder, self.address)
            if await self._connect():
                log.info("valkey_attached", data_dir=str(self._folder), owner=self._owner())
                return
            if _now() > give_up:
                raise StoreUnavailable(
                    f"the embedded Valkey in {str(self._folder)!r} does not answer: "
                    f"stop {self._owner()}, which looks after it"
                )
            await asyncio.sleep(_RETRY)
        if self._server is not None:
            if self._server.exit_code is None and await self._connect():
                return  # only the link had ended
            await self._stop(self._server)
        await self._start()

    async def keep(self) -> None:
        """Bring the server back whenever it has gone. Ends by cancellation only."""
        deaths = 0
        while self._link is not None:
            born = _now()
            await self._link.ended()
            deaths = deaths + 1 if _now() - born < _SETTLED else 0
            log.warning("valkey_gone", data_dir=str(self._folder), **await self._cause())
            while True:
                await asyncio.sleep(_pause(deaths))
                try:
                    await self.find_or_start()
                    break
                except Exception as error:  # a full disk, too little memory: it may pass
                    log.error(  # noqa: TRY400 - the server's own words are in the text
                        "valkey_not_back", data_dir=str(self._folder), error=str(error)
                    )
                    deaths += 1

    async def close(self) -> None:
        """As the owner, stop the server; the attached just leave."""
        try:
            if self._server is not None:
                await self._stop(self._server)
            elif self._link is not None:
                # If the owner died and its server did not, no other process may be left to stop it.
                with suppress(CheckpointsError):
                    if self._owns():
                        os.close(await self._lock_data())
                        clear_address(self._folder, self.address)
        finally:
            if self._link is not None:
                self._link.close()
            if self._ownership is not None:
                os.close(self._ownership)

    async def _start(self) -> None:
        lock = await self._lock_data()
        try:
            prepare_address(self._folder, self.address)
            self._server = ValkeyProcess(
                self._folder, self.address, appendfsync=self._appendfsync, lock=lock
            )
        finally:
            os.close(lock)  # from here on it is the server's alone
        give_up = _now() + _PATIENCE
        while not await self._connect():
            where = f"in {str(self._folder)!r}. Its log ends:\n{self._server.log_tail()}"
            if self._server.exit_code is not None:
                raise StoreMisconfigured(f"the embedded Valkey cannot run {where}{_advice(where)}")
            if _now() > give_up:
                self._server.kill()
                raise StoreUnavailable(f"the embedded Valkey does not answer {where}")
            await asyncio.sleep(_RETRY)
        log.info("valkey_started", data_dir=str(self._folder), pid=self._server.pid)

    async def _stop(self, server: ValkeyProcess) -> None:
        server.terminate()
        try:
            await _until(lambda: server.exit_code, _SHUTDOWN_SECONDS)
        finally:  # also if we are cancelled while it writes
            if server.exit_code is None:
                server.kill()
            clear_address(self._folder, self.address)

    async def _lock_data(self) -> int:
        """Lock the append-only file for a new server. One that still has it must end first.

        It has outlived its owner and might serve on; but it may be about to end or be stopped, has
        another's options, and would not end with us.
        """
        file = self._folder / "valkey.lock"
        lock = try_lock(file)
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if lock is None:
                log.warning("valkey_orphan", data_dir=str(self._folder), signal=signum.name)
                signal_listener(self.address, signum)
                lock = await _until(lambda: try_lock(file), _SHUTDOWN_SECONDS)
        if lock is None:
            raise StoreUnavailable(
                f"another Valkey, out of reach, keeps its data in {str(self._folder)!r}: "
                "end that process, or name another data folder"
            )
        return lock

    async def _connect(self) -> bool:
        """Try once to reach a server. One that still loads its data is waited for."""
        try:
            link = await Link.to(self.address, _PATIENCE)
        except OSError:  # a TimeoutError too
            return False
        if self._link is not None:
            self._link.close()
        self._link = link
        return True

    async def _cause(self) -> dict[str, object]:
        """What the log should know of a server that has gone; only a parent learns its code."""
        server = self._server
        if server is None:
            return {"owner": self._owner()}
        return {"exit_code": await _until(lambda: server.exit_code, _RETRY * 20)}

    def _owns(self) -> bool:
        if self._ownership is None:
            self._ownership = try_lock(self._folder / "valkey.owner.lock")
        return self._ownership is not None

    def _owner(self) -> str:
        return holder_of(self._folder / "valkey.owner.lock")


def _advice(log: str) -> str:
    """Say what to do about a log's end, where more is known than it says."""
    if _NEWER_FILE not in log:
        return ""
    return (
        "\nA newer Valkey wrote these files: run the version of Everturn that it came with, or a"
        " newer one, or restore the backup that was made before; see docs/upgrades.md"
    )


def _pause(deaths: int) -> float:
    """Seconds before the next start, after so many untimely deaths in a row: 0, 0.05, 0.15, …."""
    return min(0.05 * (2.0 ** min(deaths, 10) - 1), _MAX_PAUSE)


async def _until(look: Callable[[], T | None], seconds: float) -> T | None:
    """Call `look` until it returns something or the time is over; return what it returned last."""
    give_up = _now() + seconds
    while (seen := look()) is None and _now() < give_up:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(_RETRY)
    return seen


def _now() -> float:
    return asyncio.get_running_loop().time()
