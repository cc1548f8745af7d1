"""Open the SQL database: SQLite in the data folder, or PostgreSQL by URL."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from checkpoints.errors import DataDirError, StoreMisconfigured, StoreUnavailable
from checkpoints.migrations import bring_to_head
from checkpoints.objects import install_functions

_FILE = "everturn.db"
_CONNECT_SECONDS = 5
_PRAGMAS = (
    "busy_timeout = 5000",  # first: the next one may already have to wait for another process
    "journal_mode = WAL",  # readers and the writer do not wait for each other
    "synchronous = NORMAL",  # in WAL mode a commit survives any kill; a power cut may cost the last
    "foreign_keys = ON",
)

_MISCONFIGURED = {
    # Beginnings of PostgreSQL's states: www.postgresql.org/docs/current/errcodes-appendix.html
    "28": "the user or the password is refused, check DATABASE_URL",
    "3D000": "it does not exist, create it (createdb) or correct DATABASE_URL",
    "42501": "its user lacks a right, grant it or use another database",
    # and of SQLite's: www.sqlite.org/rescode.html
    "SQLITE_CANTOPEN": "it cannot be opened, check folder and rights",
    "SQLITE_CORRUPT": "it is damaged, restore a backup or move it away",
    "SQLITE_NOTADB": "it is no SQLite database, move it away or name another",
    "SQLITE_READONLY": "it cannot be written, check the rights of file and folder",
    # What asyncpg says of options that it does not know or cannot read.
    "ClientConfigurationError": "an option of DATABASE_URL is wrong",
    "TypeError": "an option of DATABASE_URL is wrong",
}


@asynccontextmanager
async def open_database(url: str | None, data_dir: Path) -> AsyncIterator[AsyncEngine]:
    """Open the database, migrate it to today's schema, and close it at the end.

    `None` is SQLite's file `everturn.db` in `data_dir`; `postgresql+asyncpg://…` is PostgreSQL
    (`postgresql://` and `postgres://`, as hosting services write it, mean the same).

    Raises:
        StoreMisconfigured: the URL, the driver, the rights or the schema; says what to change.
        StoreUnavailable: the server does not answer.
        DataDirError: the folder cannot be made.
    """
    engine = _create_engine(_sqlite_in(data_dir) if url is None else _parse(url))
    try:
        try:
            await bring_to_head(engine)
        except (SQLAlchemyError, OSError, TypeError) as error:  # TypeError: an unknown option
            raise translate(error, engine.url) from error
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Turn what the drivers raise into `StoreMisconfigured` or `StoreUnavailable`."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise translate(error, url) from error


def translate(error: Exception, url: URL) -> StoreMisconfigured | StoreUnavailable:
    """Say what a driver's error means and what to do; never with the password."""
    cause = getattr(error, "orig", None) or error
    reason = str(cause).partition("\n")[0] or type(cause).__name__
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
    return URL.create("sqlite+aiosqlite", database=str(data_dir / _FILE))


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
        return url.set(drivername="sqlite+aiosqlite")
    raise StoreMisconfigured(
        f"DATABASE_URL names {url.drivername}: use postgresql+asyncpg://user:password@host/database"
        " or sqlite+aiosqlite:///path/to/file.db"
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


def _create_engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        _touch(Path(url.database or ""))
        engine = create_async_engine(url, hide_parameters=True)  # what people say is not for logs
        event.listen(engine.sync_engine, "connect", _prepare)
        return engine
    try:
        return create_async_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,  # a connection that died since its last use is replaced unseen
            pool_timeout=_CONNECT_SECONDS,
            connect_args={"timeout": _CONNECT_SECONDS},
        )
    except ModuleNotFoundError as error:
        raise StoreMisconfigured(
            "PostgreSQL needs the asyncpg driver: pip install 'everturn[postgres]'"
        ) from error


def _prepare(connection: Any, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()
    # SQLite's own knows the letters of ASCII only; PostgreSQL's knows them all.
    connection.create_function("lower", 1, _lower, deterministic=True)
    install_functions(connection)


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
