"""The SQL tables, as the code of today wants them; `migrations` brings older databases here."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Named,
    Sequence,
    Table,
    Text,
    TypedColumns,
    TypeDecorator,
    event,
)
from sqlalchemy import (
    text as sql,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "everturn"
"""PostgreSQL's schema of all our tables, apart from those of an application in the same database.

The engine puts it before each name (`schema_translate_map`): a `search_path` would be a state of
the connection, which PgBouncer shares between clients. SQLite has no schemas, and plain names.
"""

metadata = MetaData(
    # Names that do not depend on the database, so that a migration can find what it alters.
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, also on SQLite, which stores no offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what could be any time zone; the rest becomes UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive datetime is no moment in time: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say again that it is UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Prose(TypeDecorator[str]):
    """Text of people and models: U+FFFD stands for what no database stores.

    PostgreSQL refuses U+0000 in text, and a lone surrogate has no UTF-8. Losing a turn for such a
    character would be worse than losing the character.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        return value if value is None else storable(value)


class Identifier(TypeDecorator[str]):
    """An id given from outside. One that no database can hold is NULL: it equals no row."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replacing characters here would make two ids one."""
        return value if value is None or _storable(value) else None


def storable(text: str) -> str:
    """Replace what no database stores by U+FFFD."""
    if _storable(text):
        return text
    return "".join(character if _storable(character) else "\ufffd" for character in text)


def _storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


class ChatHistoryColumns(TypedColumns):
    """One row a turn."""

    id: Named[int] = Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    session_id: Named[str] = Column(Identifier)
    user_message: Named[str] = Column(Prose)
    assistant_message: Named[str] = Column(Prose)
    tools_used: Named[list[str]] = Column(JSON[list[str]]())
    model_used: Named[str] = Column(Prose)
    tokens_used: Named[int] = Column(BigInteger)
    cost: Named[float | None] = Column(Double(asdecimal=False))
    created_at: Named[datetime] = Column(UtcDateTime)
    metadata: Named[dict[str, Any]] = Column(JSON[dict[str, Any]]())


chat_history = Table(
    "chat_history",
    metadata,
    ChatHistoryColumns,
    # With the id, so that a page of a session is one walk along the index, newest first.
    Index("ix_chat_history_session_id", "session_id", "id"),
    # With the session, so that the sessions of the last hours are found in the index alone.
    Index("ix_chat_history_created_at", "created_at", "session_id"),
    # Otherwise SQLite gives the id of a deleted newest row again.
    sqlite_autoincrement=True,
)


def json_object(*, none_as_null: bool = False) -> JSON[dict[str, Any]]:
    """A JSON object; on PostgreSQL one that can be searched. None may be SQL's NULL."""
    plain, binary = JSON[dict[str, Any]](none_as_null), JSONB(none_as_null)
    return plain.with_variant(binary, "postgresql")


class AssistantColumns(TypedColumns):
    """An assistant as its latest version says; `assistant_versions` has them all."""

    assistant_id: Named[str] = Column(Identifier, primary_key=True)
    graph_id: Named[str] = Column(Text)
    name: Named[str] = Column(Prose)
    description: Named[str | None] = Column(Prose)
    config: Named[dict[str, Any]] = Column(json_object())
    context: Named[dict[str, Any]] = Column(json_object())
    metadata: Named[dict[str, Any]] = Column(json_object())
    version: Named[int] = Column(Integer)
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)


assistants = Table(
    "assistants",
    metadata,
    AssistantColumns,
    Index("ix_assistants_graph_id", "graph_id"),
    Index("ix_assistants_created_at", "created_at"),
)


class AssistantVersionColumns(TypedColumns):
    """What an assistant was, and is, at each of its versions."""

    assistant_id: Named[str] = Column(
        Identifier, ForeignKey(assistants.c.assistant_id, ondelete="CASCADE"), primary_key=True
    )
    version: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    graph_id: Named[str] = Column(Text)
    name: Named[str] = Column(Prose)
    description: Named[str | None] = Column(Prose)
    config: Named[dict[str, Any]] = Column(json_object())
    context: Named[dict[str, Any]] = Column(json_object())
    metadata: Named[dict[str, Any]] = Column(json_object())
    created_at: Named[datetime] = Column(UtcDateTime)


assistant_versions = Table("assistant_versions", metadata, AssistantVersionColumns)


class ThreadColumns(TypedColumns):
    """A thread. What was said on it lies with the checkpointer; here is what is searched."""

    thread_id: Named[str] = Column(Identifier, primary_key=True)
    kind: Named[str] = Column(Text, server_default="thread")
    status: Named[str] = Column(Text)
    metadata: Named[dict[str, Any]] = Column(json_object())
    config: Named[dict[str, Any]] = Column(json_object())
    interrupts: Named[dict[str, Any]] = Column(json_object())
    error: Named[dict[str, Any] | None] = Column(json_object())
    ttl: Named[dict[str, Any] | None] = Column(json_object())
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)
    state_updated_at: Named[datetime] = Column(UtcDateTime)
    expires_at: Named[datetime | None] = Column(UtcDateTime)


threads = Table(
    "threads",
    metadata,
    ThreadColumns,
    Index("ix_threads_created_at", "created_at"),
    # With what its lists look at, so that they read no row that they do not show.
    Index("ix_threads_listed", "updated_at", "thread_id", "kind", "status", "expires_at"),
    Index("ix_threads_expires_at", "expires_at"),
    Index("ix_threads_kind", "kind", "created_at"),
)


class RunColumns(TypedColumns):
    """A run, from its start to what became of it."""

    run_id: Named[str] = Column(Identifier, primary_key=True)
    thread_id: Named[str] = Column(Identifier)
    assistant_id: Named[str] = Column(Identifier)
    status: Named[str] = Column(Text)
    metadata: Named[dict[str, Any]] = Column(json_object())
    kwargs: Named[dict[str, Any]] = Column(json_object())
    multitask_strategy: Named[str] = Column(Text)
    owner: Named[str | None] = Column(Text)
    """The process that has it, or had it last; none has what waits to be taken."""
    position: Named[int | None] = Column(BigInteger, Sequence("runs_position"))
    """Which came first: clocks of several processes are apart, and so are ids made of their time.

    SQLite has no sequences: there the insert counts on.
    """
    due_at: Named[datetime | None] = Column(UtcDateTime)
    """Before which it may not begin; none where it need not wait."""
    attempts: Named[int] = Column(Integer, server_default="1")
    """How often it was taken: each process that takes it counts."""
    deaths: Named[int] = Column(Integer, server_default="0")
    """How often it had begun when its process died."""
    caller: Named[dict[str, Any] | None] = Column(json_object(none_as_null=True))
    """Whose run it is, where a project demands to know: for a process that takes it over."""
    confidential: Named[bytes | None] = Column(LargeBinary)
    """What its `kwargs` leave out, until it ends; see `checkpoints.confidential`."""
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)


_UNFINISHED = sql("status IN ('pending', 'running')")

runs = Table(
    "runs",
    metadata,
    RunColumns,
    Index("ix_runs_thread_id", "thread_id", "position"),
    Index("ix_runs_status", "status"),
    Index("ix_runs_position", "position"),
    # What is under way or waits: a few rows, however many have ended.
    Index(
        "ix_runs_unfinished",
        "thread_id",
        "position",
        postgresql_where=_UNFINISHED,
        sqlite_where=_UNFINISHED,
    ),
)

event.listen(
    runs,
    "after_create",
    # The positions of deleted runs are not given again: clients know events by them.
    DDL(  # type: ignore[no-untyped-call]
        """CREATE TRIGGER runs_position BEFORE DELETE ON runs BEGIN
    INSERT INTO sqlite_sequence (name, seq) SELECT 'runs_position', 0
        WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'runs_position');
    UPDATE sqlite_sequence SET seq = max(seq, coalesce(OLD.position, 0))
        WHERE name = 'runs_position';
END"""
    ).execute_if(dialect="sqlite"),
)


class CronColumns(TypedColumns):
    """A run that starts again and again."""

    cron_id: Named[str] = Column(Identifier, primary_key=True)
    assistant_id: Named[str] = Column(Identifier)
    thread_id: Named[str | None] = Column(Identifier)
    schedule: Named[str] = Column(Text)
    timezone: Named[str | None] = Column(Text)
    payload: Named[dict[str, Any]] = Column(json_object())
    metadata: Named[dict[str, Any]] = Column(json_object())
    enabled: Named[bool] = Column(Boolean)
    on_run_completed: Named[str | None] = Column(Text)
    end_time: Named[datetime | None] = Column(UtcDateTime)
    next_run_date: Named[datetime | None] = Column(UtcDateTime)
    caller: Named[dict[str, Any] | None] = Column(json_object(none_as_null=True))
    confidential: Named[bytes | None] = Column(LargeBinary)
    """What its `payload` leaves out; see `checkpoints.confidential`."""
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)


crons = Table(
    "crons",
    metadata,
    CronColumns,
    Index("ix_crons_assistant_id", "assistant_id"),
    Index("ix_crons_next_run_date", "next_run_date"),
)


class WebhookColumns(TypedColumns):
    """The report of a run's end to somebody else's service, until it is delivered and after."""

    run_id: Named[str] = Column(Identifier, primary_key=True)
    thread_id: Named[str] = Column(Identifier)
    status: Named[str] = Column(Text)
    url: Named[str] = Column(Prose)
    """As it is shown: without what may be a token."""
    confidential: Named[bytes | None] = Column(LargeBinary)
    """What `url` leaves out, while it is to be sent; see `checkpoints.confidential`."""
    body: Named[bytes | None] = Column(LargeBinary)
    """While it is to be sent."""
    metadata: Named[dict[str, Any]] = Column(json_object())
    """The run's and its thread's: whose it is."""
    attempts: Named[int] = Column(Integer)
    error: Named[str | None] = Column(Prose)
    """Of the last attempt, where it failed."""
    owner: Named[str | None] = Column(Text)
    """The process that is sending it."""
    due_at: Named[datetime | None] = Column(UtcDateTime)
    """When to send it; while it is being sent, when another process may."""
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)


webhooks = Table(
    "webhooks",
    metadata,
    WebhookColumns,
    Index("ix_webhooks_thread_id", "thread_id"),
    Index("ix_webhooks_due_at", "due_at"),
    Index("ix_webhooks_status", "status", "updated_at"),
    Index("ix_webhooks_created_at", "created_at"),
)


def _exact() -> Text:
    """Text in the order of its code points, whatever the database's language: ranges rely on it."""
    return Text().with_variant(Text(collation="C"), "postgresql")


class StoreItemColumns(TypedColumns):
    """Long-term memory: an item in a namespace, whose labels are joined with dots."""

    namespace: Named[str] = Column(_exact(), primary_key=True)
    key: Named[str] = Column(_exact(), primary_key=True)
    value: Named[dict[str, Any]] = Column(JSON[dict[str, Any]]())
    """Not JSONB: that takes some floats for integers, and comes back as another number."""
    ttl: Named[float | None] = Column(Double(asdecimal=False))
    """Minutes from the last write, or refreshing read, to `expires_at`."""
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)
    expires_at: Named[datetime | None] = Column(UtcDateTime)


store_items = Table(
    "store_items",
    metadata,
    StoreItemColumns,
    Index("ix_store_items_expires_at", "expires_at"),
    Index("ix_store_items_latest", "namespace", "updated_at"),
)


class StoreTextColumns(TypedColumns):
    """A text in an item, and what finds it: its words, and a vector that stands for its meaning."""

    number: Named[int] = Column(
        BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    """Grows with each write and is never used again: what is new since the last look has a higher
    one."""
    namespace: Named[str] = Column(_exact())
    key: Named[str] = Column(_exact())
    path: Named[str] = Column(_exact())
    """Where in the item's value the text is."""
    words: Named[str | None] = Column(Text)
    """As `store.words` writes them; none where they are still to be made."""
    vector: Named[bytes | None] = Column(LargeBinary)
    """Of length 1, as float32 in little endian; none where it is still to be made."""
    model: Named[str | None] = Column(Text)
    """What made the vector: vectors of two models cannot be compared. Empty for those that are
    older than this column."""


store_texts = Table(
    "store_texts",
    metadata,
    StoreTextColumns,
    ForeignKeyConstraint(
        ["namespace", "key"], [store_items.c.namespace, store_items.c.key], ondelete="CASCADE"
    ),
    Index("ix_store_texts_place", "namespace", "key", "path", unique=True),
    Index("ix_store_texts_newest", "namespace", "number"),
    sqlite_autoincrement=True,
)

WORDS = "store_words"
"""The index of words: SQLite's of its extension FTS5, which triggers keep as the table is, and
PostgreSQL's of its text search, which has `ix_` before its name."""
_INDEX_OF_WORDS = """CREATE VIRTUAL TABLE store_words USING fts5(words, content='store_texts',
    content_rowid='number', tokenize='ascii', detail='none', columnsize=0)
----
CREATE TRIGGER store_texts_inserted AFTER INSERT ON store_texts WHEN new.words IS NOT NULL BEGIN
    INSERT INTO store_words (rowid, words) VALUES (new.number, new.words);
END
----
CREATE TRIGGER store_texts_deleted AFTER DELETE ON store_texts WHEN old.words IS NOT NULL BEGIN
    INSERT INTO store_words (store_words, rowid, words) VALUES ('delete', old.number, old.words);
END
----
CREATE TRIGGER store_texts_changed AFTER UPDATE OF words ON store_texts BEGIN
    INSERT INTO store_words (store_words, rowid, words)
        SELECT 'delete', old.number, old.words WHERE old.words IS NOT NULL;
    INSERT INTO store_words (rowid, words)
        SELECT new.number, new.words WHERE new.words IS NOT NULL;
END"""
_GIN = (
    f"CREATE INDEX ix_{WORDS} ON %(fullname)s"
    " USING gin (array_to_tsvector(string_to_array(words, ' ')))"
)
for _dialect, _statement in (
    *(("sqlite", each) for each in _INDEX_OF_WORDS.split("----")),
    ("postgresql", _GIN),
):
    event.listen(
        store_texts,
        "after_create",
        DDL(_statement).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
    )
event.listen(
    store_texts,
    "before_drop",
    DDL(f"DROP TABLE {WORDS}").execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call]
)


class IdempotencyKeyColumns(TypedColumns):
    """A key that a client sent with a request, and the run that the request started."""

    caller: Named[str] = Column(Prose, primary_key=True)
    """Whose key it is; empty where nobody has to sign in."""
    key: Named[str] = Column(Text, primary_key=True)
    fingerprint: Named[str] = Column(Text)
    """What tells the request from another one with the same key."""
    run_id: Named[str] = Column(Identifier)
    thread_id: Named[str] = Column(Identifier)
    temporary: Named[bool] = Column(Boolean)
    """Its run has a thread of its own: the run's row goes with the key."""
    answer: Named[bytes | None] = Column(LargeBinary)
    """What the run came to; None until its end, or where its thread was deleted since."""
    created_at: Named[datetime] = Column(UtcDateTime)


idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    IdempotencyKeyColumns,
    Index("ix_idempotency_keys_run_id", "run_id"),
    Index("ix_idempotency_keys_thread_id", "thread_id"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)


class ApiKeyColumns(TypedColumns):
    """A key of the API: all of it but its secret."""

    key_id: Named[str] = Column(Identifier, primary_key=True)
    name: Named[str] = Column(Prose)
    owner: Named[str] = Column(Prose)
    """The identity of who comes with it."""
    scopes: Named[list[str]] = Column(JSON[list[str]]())
    digest: Named[bytes] = Column(LargeBinary)
    """SHA-256 of the secret, which has too many bits to be guessed from it."""
    created_at: Named[datetime] = Column(UtcDateTime)
    expires_at: Named[datetime | None] = Column(UtcDateTime)
    last_used_at: Named[datetime | None] = Column(UtcDateTime)
    """To the hour."""
    revoked_at: Named[datetime | None] = Column(UtcDateTime)
    allowance: Named[dict[str, Any] | None] = Column(JSON[dict[str, Any]](none_as_null=True))
    """What who comes with it may, where it is another amount than what is set for all."""


api_keys = Table("api_keys", metadata, ApiKeyColumns)
