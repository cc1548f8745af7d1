"""Open the SQL database: SQLite in the data folder, or PostgreSQL by URL.

A transaction is a function of a connection; it is called where it does not block the event loop:
SQLite's in a thread, as a whole, for a hand-over between threads costs more than its statements;
PostgreSQL's on the event loop, which goes on meanwhile.
"""

import asyncio
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from typing_extensions import override

from everturn.checkpoints.errors import (
    DataDirError,
    SearchTimeout,
    StoreMisconfigured,
    StoreUnavailable,
    ValueRefused,
)
from everturn.checkpoints.redis.patience import Patience
from everturn.checkpoints.sql.json_objects import install_codec, install_functions
from everturn.checkpoints.sql.migrations import bring_to_head, is_at_head, refuse_newer
from everturn.checkpoints.sql.tables import SCHEMA

T = TypeVar("T")
Work = Callable[[Connection], T]

_FILE = "everturn.db"
_QUICK_SECONDS = 1.7  # a client who waits for some rows learns within 2 s that they do not come
_SEARCH_SECONDS = 10.0
_MIGRATION_SECONDS = 3600.0
_READERS = 4  # threads
_SEARCHERS = 2  # threads of their own: what takes long holds up no row that is read by its id
_BUSY_SECONDS = 1.5  # that a writer waits for another process; others of this one wait behind it
_STEPS = 100_000  # of SQLite's machine, some milliseconds, between two looks at the time
_CONNECT_SECONDS = 5
_INTERRUPTED_SECONDS = 0.2  # after its deadline; then a thread is waited for no longer
_DEADLINE, _BUSY = "everturn_deadline", "everturn_busy"
_PRAGMAS = (
    "busy_timeout = 5000",  # first: the next one may already have to wait for another process
    "auto_vacuum = INCREMENTAL",  # of a new file; see `space`
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = NORMAL",  # in WAL mode a commit survives any kill; a power cut may cost the last
    "foreign_keys = ON",
    "journal_size_limit = 16777216",  # bytes of the log that stay when it was written to the file
)

_MISCONFIGURED = {
    # Beginnings of PostgreSQL's states: www.postgresql.org/docs/current/errcodes-appendix.html
    "28": "the user or the password is refused, check DATABASE_URL",
    "3D000": "it does not exist, create it (createdb) or correct DATABASE_URL",
    "42501": "its user lacks a right, grant it or use another database"
    f" (our tables are in the schema {SCHEMA}: CREATE SCHEMA {SCHEMA} AUTHORIZATION …)",
    # and of SQLite's: www.sqlite.org/rescode.html
    "SQLITE_CANTOPEN": "it cannot be opened, check folder and rights",
    "SQLITE_CORRUPT": "it is damaged, restore a backup or move it away",
    "SQLITE_NOTADB": "it is no SQLite database, move it away or name another",
    "SQLITE_READONLY": "it cannot be written, check the rights of file and folder",
    # What asyncpg says of options that it does not know or cannot read.
    "ClientConfigurationError": "an option of DATABASE_URL is wrong",
    "TypeError": "an option of DATABASE_URL is wrong",
}


_QUOTED = re.compile(r": .* \(")
"""Where asyncpg quotes a value, before it says in brackets what is wrong with it."""


class Database(ABC):
    """One SQL database, open."""

    def __init__(self, engine: Engine) -> None:
        self.sync_engine = engine
        """Where SQLAlchemy's events are listened to."""
        self.clients_wait = True
        """Whether a client waits for what is read and written. As a start nobody does, and a busy
        machine may take its time."""

    @property
    def _seconds(self) -> float:
        return _QUICK_SECONDS if self.clients_wait else _SEARCH_SECONDS

    @property
    def dialect(self) -> Dialect:
        """Whose SQL it speaks: `sqlite` or `postgresql` is its name."""
        return self.sync_engine.dialect

    @property
    def url(self) -> URL:
        """Where it is."""
        return self.sync_engine.url

    async def read(self, work: Work[T], *, seconds: float | None = None) -> T:
        """Call `work` with a connection to read by, beside whatever is being written.

        It is for rows that are found by an index, so that it is quick: see `search`.

        Raises:
            StoreUnavailable, StoreMisconfigured: as the driver fails, or after `seconds` (1.7).
            ValueRefused: the database cannot look for a value.
            Exception: what `work` raises of its own.
        """
        with translated_errors(self.url):
            return await self._read(work, seconds or self._seconds)

    async def search(self, work: Work[T], *, seconds: float | None = None) -> T:
        """Call `work` as `read` does, where what a client wrote decides how long it takes.

        Raises:
            SearchTimeout: it was interrupted after `seconds` (10).
            StoreUnavailable, StoreMisconfigured: as the driver fails.
            Exception: what `work` raises of its own.
        """
        seconds = seconds or _SEARCH_SECONDS
        with translated_errors(self.url):
            try:
                return await self._search(work, seconds)
            except TimeoutError as error:
                raise SearchTimeout(
                    f"The search was ended after {seconds:g} s: narrow it by what you look for, "
                    "or try again later."
                ) from error

    async def write(self, work: Work[T], *, seconds: float | None = None) -> T:
        """Call `work` in a transaction, and return what it returned once that is committed.

        It may take `seconds` (1.7), which begin when the transactions before it are over.

        Raises:
            StoreUnavailable, StoreMisconfigured: nothing was committed, or it is not known.
            ValueRefused: the database does not take a value; nothing was committed.
            Exception: what `work` raises of its own; nothing was committed.
        """
        with translated_errors(self.url):
            return await self._write(work, seconds or self._seconds)

    # Each raises TimeoutError after so many seconds, and nothing of it goes on.

    @abstractmethod
    async def _read(self, work: Work[T], seconds: float) -> T: ...

    @abstractmethod
    async def _search(self, work: Work[T], seconds: float) -> T: ...

    @abstractmethod
    async def _write(self, work: Work[T], seconds: float) -> T: ...

    @abstractmethod
    async def close(self) -> None:
        """Give the connections back."""


class _Deadline:
    """When what a connection to SQLite executes is interrupted."""

    def __init__(self) -> None:
        self.at = float("inf")

    def passed(self) -> bool:
        """Whether it is over; SQLite asks every `_STEPS` steps, and stops."""
        return monotonic() > self.at

    def check(self) -> None:
        """Raise TimeoutError when it is over."""
        if self.passed():
            raise TimeoutError


def check_time(connection: Connection) -> None:
    """End a long piece of work on rows at its deadline, which SQLite sees only in its own work."""
    if deadline := connection.info.get(_DEADLINE):
        deadline.check()


class _SQLite(Database):
    """One thread writes, as one transaction can at a time; others read."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sqlite reader")
        self._searchers = ThreadPoolExecutor(_SEARCHERS, thread_name_prefix="sqlite searcher")
        self._deadlines: set[_Deadline] = set()
        self._written_at = 0.0
        self._closing = False

    @override
    async def _read(self, work: Work[T], seconds: float) -> T:
        return await self._in_thread(self._readers, self._reading, work, seconds)

    @override
    async def _search(self, work: Work[T], seconds: float) -> T:
        return await self._in_thread(self._searchers, self._reading, work, seconds)

    @override
    async def _write(self, work: Work[T], seconds: float) -> T:
        return await self._in_thread(self._writer, self._writing, work, seconds)

    async def _in_thread(
        self,
        threads: Executor,
        call: Callable[[Work[T], float, float], T],
        work: Work[T],
        seconds: float,
    ) -> T:
        loop = asyncio.get_running_loop()
        async with Patience(seconds + _INTERRUPTED_SECONDS):
            return await loop.run_in_executor(threads, call, work, monotonic(), seconds)

    def _reading(self, work: Work[T], asked_at: float, seconds: float) -> T:
        until = asked_at + seconds
        with self.sync_engine.connect() as connection, self._limited(connection, until):
            return work(connection)

    def _writing(self, work: Work[T], asked_at: float, seconds: float) -> T:
        # To wait behind others whose rows are being written is no fault of the database.
        until = max(asked_at, self._written_at) + seconds
        with self.sync_engine.begin() as connection, self._limited(connection, until):
            _wait_for_others(connection, min(until - monotonic(), max(_BUSY_SECONDS, seconds / 10)))
            # SQLite's driver begins none for DDL, and others late: who waits has done nothing yet.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            written = work(connection)
        self._written_at = monotonic()
        return written

    @contextmanager
    def _limited(self, connection: Connection, until: float) -> Iterator[None]:
        """Interrupt at a moment, or when the database is closed, what reads or writes here."""
        deadline: _Deadline = connection.info[_DEADLINE]
        deadline.at = until
        self._deadlines.add(deadline)
        try:
            if self._closing:
                deadline.at = 0.0
            deadline.check()
            yield
        except DBAPIError as error:
            if deadline.passed():
                raise TimeoutError("it was interrupted at its deadline") from error
            raise
        finally:
            self._deadlines.discard(deadline)
            deadline.at = float("inf")  # also a rollback is work

    @override
    async def close(self) -> None:
        await asyncio.to_thread(self._writer.shutdown)
        self._closing = True
        for deadline in self._deadlines.copy():  # no client waits any more
            deadline.at = 0.0
        for threads in (self._readers, self._searchers):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        self.sync_engine.dispose()


class _PostgreSQL(Database):
    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine.sync_engine)
        self._engine = engine
        self._ending: set[asyncio.Task[Any]] = set()

    @override
    async def _read(self, work: Work[T], seconds: float) -> T:
        return await self._within(seconds, self._reading(work))

    _search = _read

    @override
    async def _write(self, work: Work[T], seconds: float) -> T:
        return await self._within(seconds, self._writing(work))

    async def _reading(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def _writing(self, work: Work[T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def _within(self, seconds: float, working: Coroutine[Any, Any, T]) -> T:
        """Await work for so long.

        A task that is cancelled has its driver cancel the statement in the server, too. With a
        server that hangs, that takes seconds, for which the caller does not wait.
        """
        task = asyncio.create_task(working)
        try:
            async with Patience(seconds):
                return await asyncio.shield(task)
        finally:
            if not task.done():
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # no one waits for it any more

    @override
    async def close(self) -> None:
        if self._ending:
            await asyncio.wait(self._ending)
        await self._engine.dispose()


@asynccontextmanager
async def open_database(
    url: str | None, data_dir: Path, *, migrate: bool = True
) -> AsyncIterator[Database]:
    """Open the database, migrate it to today's schema, and close it at the end.

    `None` is SQLite's file `everturn.db` in `data_dir`; `postgresql+asyncpg://…` is PostgreSQL
    (`postgresql://` and `postgres://`, as hosting services write it, mean the same).

    Args:
        url: where it is.
        data_dir: of the service.
        migrate: False refuses another version's database, which may be in use.

    Raises:
        StoreMisconfigured: the URL, the driver, the rights or the schema; says what to change.
        StoreUnavailable: the server does not answer.
        DataDirError: the folder cannot be made.
    """
    database = _open(_sqlite_in(data_dir) if url is None else _parse(url))
    try:
        try:
            if not await database.read(is_at_head, seconds=_SEARCH_SECONDS):
                if not migrate:
                    await database.read(refuse_newer, seconds=_SEARCH_SECONDS)
                    raise StoreMisconfigured(
                        f"{_name(database.url)} is another version's, or empty: start this "
                        "version's `everturn serve` with it once, or use the other version"
                    )
                await database.write(bring_to_head, seconds=_MIGRATION_SECONDS)
        except TypeError as error:  # an unknown option
            raise translate(error, database.url) from error
        yield database
    finally:
        await database.close()


@contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Turn what the drivers raise into one of `checkpoints.errors`."""
    try:
        yield
    except (SQLAlchemyError, OSError, OverflowError, UnicodeEncodeError) as error:
        raise translate(error, url) from error


def refuses_value(error: BaseException) -> bool:
    """Say whether the database or its driver refuses a value, and works apart from that."""
    if not isinstance(error, DBAPIError):  # the driver, before it asked the database
        return isinstance(error, StatementError | OverflowError | UnicodeEncodeError)
    # PostgreSQL's classes "data exception" and "program limit exceeded".
    refused = str(getattr(error.orig, "sqlstate", None)).startswith(("22", "54"))
    return (refused or isinstance(error, DataError)) and not error.connection_invalidated


def translate(error: Exception, url: URL) -> StoreMisconfigured | StoreUnavailable | ValueRefused:
    """Say what a driver's error means and what to do; never with the password."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).partition("\n")[0] or type(cause).__name__
    if refuses_value(error):
        reason = _QUOTED.sub(" (", reason)
        return ValueRefused(f"The database cannot take a value: {reason}")
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    for known, advice in _MISCONFIGURED.items():
        if (code or type(cause.__cause__ or cause).__name__).startswith(known):
            return StoreMisconfigured(f"{_name(url)}: {advice} ({reason})")
    return StoreUnavailable(f"{_name(url)} does not answer ({reason})")


def _name(url: URL) -> str:
    """Name the database for people: where it is, without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return f"SQLite file {url.database}"
    return f"PostgreSQL database {url.database} at {url.host or 'localhost'}:{url.port or 5432}"


def _sqlite_in(data_dir: Path) -> URL:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirError(f"cannot make the data folder {data_dir}: {error.strerror}") from error
    return URL.create("sqlite", database=str(data_dir / _FILE))


def _parse(text: str) -> URL:
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        # Neither the text nor the parser's error may be shown: both may hold the password.
        raise StoreMisconfigured(
            "DATABASE_URL is not a URL: write postgresql+asyncpg://user:password@host/database"
        ) from None
    if backend == "postgresql":
        _check_escapes(url, text)
        return _with_asyncpg(url)
    if backend == "sqlite" and url.database not in {None, "", ":memory:"}:
        return url.set(drivername="sqlite")
    raise StoreMisconfigured(
        f"DATABASE_URL names {url.drivername}: use postgresql+asyncpg://user:password@host/database"
        " or sqlite:///path/to/file.db"
    )


def _check_escapes(url: URL, text: str) -> None:
    """Refuse a password with a bare `@`: what follows it would be shown as host and database."""
    if any("@" in part for part in (url.host or "", url.database or "", text.partition("?")[2])):
        raise StoreMisconfigured(
            "DATABASE_URL has an @ that is not escaped: in user, password and options write %40"
            " for @, %2F for / and %3F for ?"
        )


def _with_asyncpg(url: URL) -> URL:
    """Take over what libpq's URLs say and asyncpg calls otherwise, or does by itself."""
    query = dict(url.query)
    query.pop("channel_binding", None)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)


def _open(url: URL) -> Database:
    if url.get_backend_name() == "sqlite":
        _touch(Path(url.database or ""))
        engine = create_engine(url, hide_parameters=True)  # what people say is not for logs
        event.listen(engine, "connect", _prepare)
        return _SQLite(engine)
    try:
        postgresql = create_async_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,  # a connection that died since its last use is replaced unseen
            pool_timeout=_CONNECT_SECONDS,
            connect_args={"timeout": _CONNECT_SECONDS},
            execution_options={"schema_translate_map": {None: SCHEMA}},
        )
    except ModuleNotFoundError as error:
        raise StoreMisconfigured(
            "PostgreSQL needs the asyncpg driver: pip install 'everturn[postgres]'"
        ) from error
    event.listen(
        postgresql.sync_engine, "connect", lambda connection, _: connection.run_async(install_codec)
    )
    return _PostgreSQL(postgresql)


def _wait_for_others(connection: Connection, seconds: float) -> None:
    """Say how long a statement waits for the lock of another process."""
    tenths = max(0, int(10 * seconds))  # rarely another number than before
    if connection.info.get(_BUSY) != tenths:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {100 * tenths}")
        connection.info[_BUSY] = tenths


def _prepare(connection: Any, record: ConnectionPoolEntry) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()
    # SQLite's own knows the letters of ASCII only; PostgreSQL's knows them all.
    connection.create_function("lower", 1, _lower, deterministic=True)
    deadline = record.info[_DEADLINE] = _Deadline()
    connection.set_progress_handler(deadline.passed, _STEPS)
    install_functions(connection, deadline.check)


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _touch(file: Path) -> None:
    """Fail for a file that cannot be opened before there is a driver's thread to fail in."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, mode=0o600))  # it holds private talk
    except OSError as error:
        raise StoreMisconfigured(
            f"SQLite file {file} cannot be written ({error.strerror}): check folder and rights"
        ) from error
