"""Makes later what could not be made at once, such as vectors while their model was away.

And all of it anew, where the model changes.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select
from structlog import get_logger

from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.store.meaning import Meaning
from everturn.checkpoints.sql.store.texts import text_at
from everturn.checkpoints.sql.store.words import stored
from everturn.checkpoints.sql.tables import store_items as items
from everturn.checkpoints.sql.tables import store_texts as texts

log = get_logger(__name__)

_AT_ONCE = 64
_SECONDS = 30.0
_RETRY_SECONDS, _LOOK_SECONDS = 15.0, 600.0


class Filled(NamedTuple):
    """How many texts there are, and how many of them were written anew."""

    texts: int
    made: int


class Filling:
    """Fills what is missing in `store_texts`."""

    def __init__(self, database: Database, meaning: Meaning | None) -> None:
        self._database = database
        self._meaning = meaning
        self._wanted = asyncio.Event()

    def later(self) -> None:
        """Note that something is missing."""
        self._wanted.set()

    async def keep_filling(self) -> None:
        """Fill what is missing now, and whenever something is missed."""
        while True:
            self._wanted.clear()
            wait = _LOOK_SECONDS
            try:
                await self.fill(_missing(self._meaning))
                await self._say_others()
            except Exception as error:
                log.warning("texts_not_filled", error=str(error))
                self._wanted.clear()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
                await asyncio.sleep(_RETRY_SECONDS)  # what was away a moment ago still is
            except TimeoutError:
                pass

    async def reindex(self) -> Filled:
        """Make words and vectors of all texts anew that another model made, or none.

        Raises:
            Exception: of the model, or of the database; what was made until then stays.
        """
        if self._meaning is not None and not self._meaning.dims:
            await self._meaning.of_query("dimension")
        made = await self.fill(or_(_missing(self._meaning), _of_another_model(self._meaning)))
        counted = select(func.count()).select_from(texts)
        total = await self._database.search(lambda c: c.scalar(counted), seconds=_SECONDS)
        return Filled(total or 0, made)

    async def fill(self, which: ColumnElement[bool]) -> int:
        """Write those texts anew; returns how many."""
        made, after = 0, 0
        while some := await self._database.search(partial(_read, which, after), seconds=_SECONDS):
            found = {row.number: text_at(row.value, row.path) for row in some}
            vectors: dict[str, bytes] = {}
            if self._meaning is not None:
                vectors = await self._meaning.of_texts(text for text in found.values() if text)
            rows = [self._row(row, found[row.number], vectors) for row in some]
            await self._database.write(partial(_replace, rows), seconds=_SECONDS)
            after = some[-1].number
            made += len(some)
        return made

    def _row(self, row: Any, text: str, vectors: dict[str, bytes]) -> dict[str, Any]:
        vector, model = row.vector, row.model
        if self._meaning is not None:
            vector = vectors.get(text, b"")  # an empty text has none, and is not asked for again
            model = self._meaning.model
        return {
            "number": row.number,
            "namespace": row.namespace,
            "key": row.key,
            "path": row.path,
            "words": stored(row.namespace, text),
            "vector": vector,
            "model": model,
        }

    async def _say_others(self) -> None:
        """Warn of vectors that cannot be compared; to make them anew may cost money."""
        if self._meaning is None or not self._meaning.dims:
            return
        counted = select(func.count()).where(_of_another_model(self._meaning))
        others = await self._database.search(lambda c: c.scalar(counted), seconds=_SECONDS)
        if others:
            log.warning(
                "texts_of_another_model",
                texts=others,
                model=self._meaning.model,
                note="words find them; run `everturn memory reindex` to find them by meaning",
            )


def _missing(meaning: Meaning | None) -> ColumnElement[bool]:
    no_words = texts.c.words.is_(None)
    return no_words if meaning is None else or_(no_words, texts.c.vector.is_(None))


def _of_another_model(meaning: Meaning | None) -> ColumnElement[bool]:
    if meaning is None:
        return texts.c.words.is_(None)
    return texts.c.model.is_not(None) & texts.c.model.not_in([meaning.model, ""])


def _read(which: ColumnElement[bool], after: int, connection: Connection) -> Sequence[Any]:
    here = (texts.c.namespace == items.c.namespace) & (texts.c.key == items.c.key)
    found = (
        select(texts, items.c.value)
        .select_from(texts.join(items, here))
        .where(which, texts.c.number > after)
        .order_by(texts.c.number)
        .limit(_AT_ONCE)
    )
    return connection.execute(found).all()


def _replace(rows: Sequence[dict[str, Any]], connection: Connection) -> None:
    """Write rows under new numbers, so that all processes read them, but none that is gone."""
    for row in rows:
        number = row.pop("number")
        if connection.execute(delete(texts).where(texts.c.number == number)).rowcount:
            connection.execute(insert(texts).values(row))
