"""What a query finds: by meaning and by words, merged into one order.

Words only add to what meaning finds. A text that has most of a query's words, such as a name or a
number, moves up; all others stay where their meaning puts them. To count both alike was tried, and
found less than meaning alone, and so did a little for each word. See `tests/bench/memory.py`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from everturn.checkpoints.sql.database import check_time
from everturn.checkpoints.sql.store import statements as sql
from everturn.checkpoints.sql.store import words
from everturn.checkpoints.sql.store.meaning import Meaning
from everturn.checkpoints.sql.store.namespaces import Namespace, bounds
from everturn.checkpoints.sql.store.nearest import CANDIDATES, Bits
from everturn.checkpoints.sql.store.statements import Place
from everturn.checkpoints.sql.tables import SCHEMA, WORDS

WEIGHT_OF_WORDS = 0.2
"""How far words lift a text, beside a cosine."""
MOST_WORDS = 0.5
"""Which part of a query's words a text must have to be lifted; rare ones weigh more."""

_ROWS_AT_ONCE = 500
_BY_WORDS = 64
"""Texts found by words that are compared by meaning, too."""
_DEAD = 0.5
"""Of the candidates: with more that are gone, the bits are read anew."""

_BY_NUMBER = "SELECT number, namespace, key, {} FROM {} WHERE number {}"
# All numbers of a word in one row: to fetch thousands of rows takes longer than to find them.
_SQLITE = (
    "SELECT value, (SELECT json_group_array(rowid) FROM ("  # noqa: S608 # nosec B608
    f"SELECT rowid FROM {WORDS} WHERE {WORDS} MATCH value ORDER BY rowid DESC LIMIT ?))"
    " FROM json_each(?)"
)
# OFFSET 0 keeps the planner from reading all texts from the newest on, in search of a rare word.
_POSTGRESQL = text(
    "SELECT word, numbers FROM unnest(CAST(:words AS text[])) AS word, LATERAL ("  # noqa: S608 # nosec B608
    "SELECT array_agg(number) AS numbers FROM ("
    f"SELECT number FROM (SELECT number FROM {SCHEMA}.store_texts WHERE"
    " array_to_tsvector(string_to_array(words, ' ')) @@ CAST(word AS tsquery) OFFSET 0) AS met"
    " ORDER BY number DESC LIMIT :most) AS newest) AS found"
)


class Score(NamedTuple):
    """How well an item meets a query."""

    rank: float
    """What it is put in order by."""
    shown: float
    """The cosine to the query's vector; how well words meet, where there is none."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, ready to be compared."""

    words: Sequence[str]
    """As they are stored; none where words are not asked for."""
    vector: Any = None
    """Of its meaning; `None` where that is not known."""
    model: str = ""
    """What made the vector."""


def found_by_words(connection: Connection, query: Query) -> dict[int, float]:
    """Return the texts that have words of a query, and how well they meet it."""
    if not query.words:
        return {}
    return words.scores(_hits(connection, query.words), len(query.words))


def read_new(connection: Connection, prefix: Namespace, bits: Bits) -> None:
    """Take in what was written under a prefix since the last look."""
    in_order = connection.dialect.name == "sqlite"
    new = {**bounds(prefix), "since": bits.since(in_order=in_order), "model": bits.model}
    if not in_order:  # most of what is read again is known
        numbers = connection.scalars(sql.NEW_NUMBERS, new).all()
        unknown = [number for number in numbers if number not in bits]
        if len(unknown) < _ROWS_AT_ONCE:
            _add(bits, [(n, vector) for n, _, vector in _texts(connection, unknown, vectors=True)])
            bits.looked()
            return
        new["since"] = unknown[0] - 1  # goes on where a search that was ended came to
    streamed = connection.execution_options(yield_per=_ROWS_AT_ONCE)
    with streamed.execute(sql.NEW_TEXTS, new) as rows:
        for some in rows.partitions():
            check_time(connection)
            _add(bits, [(row.number, row.vector) for row in some])
    bits.looked()


def _add(bits: Bits, some: Sequence[tuple[int, bytes | None]]) -> None:
    length = 4 * int(bits.model.rpartition(":")[2])
    bits.add([(number, vector) for number, vector in some if vector and len(vector) == length])


def ranked(
    connection: Connection, query: Query, bits: Bits | None, meaning: Meaning | None, count: int
) -> tuple[dict[Place, Score], bool]:
    """Return the places of items, each with its score, and whether the bits are out of date.

    Args:
        connection: to the database.
        query: what is looked for.
        bits: of the namespace, up to date; `None` without meaning.
        meaning: what compares vectors.
        count: how many items are wanted, at most.
    """
    by_words = found_by_words(connection, query)
    if bits is None or meaning is None or not len(bits):
        chosen = words.best(by_words, max(count, _BY_WORDS))
        found = _texts(connection, chosen)
        return best((place, Score(by_words[n], by_words[n])) for n, place, _ in found), False
    near = bits.near(query.vector, max(CANDIDATES, 4 * count))
    more = words.best(by_words, _BY_WORDS)
    there = list(_texts(connection, {*near, *more}, vectors=True))
    known = {number for number, _, _ in there}
    dead = sum(number not in known for number in near)
    comparable = [vector if number in bits else None for number, _, vector in there]
    cosines = meaning.scores(query.vector, [vector or b"" for vector in comparable])
    scored = []
    for (number, place, _), cosine in zip(there, cosines, strict=True):
        met = by_words.get(number, 0.0)
        if cosine is not None:
            lift = WEIGHT_OF_WORDS * met if met >= MOST_WORDS else 0.0
            scored.append((place, Score(cosine + lift, cosine)))
        elif met:  # its vector is still to be made
            scored.append((place, Score(met, met)))
    return best(scored), dead > _DEAD * len(near)


def best(scored: Iterable[tuple[Place, Score]]) -> dict[Place, Score]:
    """Keep the best score of each item; it may have several texts."""
    found: dict[Place, Score] = {}
    for place, score in scored:
        found[place] = max(score, found.get(place, score))
    return found


def _texts(
    connection: Connection, numbers: Iterable[int], *, vectors: bool = False
) -> Iterable[tuple[int, Place, bytes | None]]:
    """Read texts by their numbers; in one parameter, for a list of them takes longer to write."""
    wanted = list(numbers)
    if not wanted:
        return
    vector = "vector" if vectors else "NULL AS vector"
    if connection.dialect.name == "sqlite":
        asked = _BY_NUMBER.format(vector, "store_texts", "IN (SELECT value FROM json_each(?))")
        rows = connection.exec_driver_sql(asked, (json.dumps(wanted),)).all()
    else:
        table = f"{SCHEMA}.store_texts"
        asked = _BY_NUMBER.format(vector, table, "= ANY(CAST(:numbers AS bigint[]))")
        rows = connection.execute(text(asked), {"numbers": wanted}).all()
    for number, namespace, key, found in rows:
        yield number, (namespace, key), found


def _hits(connection: Connection, wanted: Sequence[str]) -> Mapping[str, Sequence[int]]:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(_SQLITE, (words.MAX_HITS, json.dumps(list(wanted))))
        return {word: json.loads(numbers) for word, numbers in found.all()}
    rows = connection.execute(_POSTGRESQL, {"words": list(wanted), "most": words.MAX_HITS})
    return {row.word: row.numbers or [] for row in rows}
