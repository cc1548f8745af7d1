"""What contains what: PostgreSQL's operator, SQLite's function and Python agree."""

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, cast, literal, null, select
from sqlalchemy.dialects.postgresql import JSONB

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.json_objects import (
    contained,
    contains,
    member_equals,
    merged,
    storable,
)
from tests.checkpoints.stores import in_database, postgres_database

OBJECT = JSON[dict[str, Any]]().with_variant(JSONB(), "postgresql")
LEAVES: tuple[Any, ...] = (None, True, False, 0, 1, 1.0, 0.5, "", "a", "é\\u0000", "'", [], {})


def any_json(chance: random.Random, depth: int = 3) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.4:
        return chance.choice(LEAVES)
    inner = [any_json(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return inner if kind < 0.6 else dict(zip("abc", inner, strict=False))


def an_object(chance: random.Random) -> dict[str, Any]:
    return {key: any_json(chance) for key in "abc" if chance.random() < 0.7}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_the_database_agrees_with_python(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite":
        await _compare(None, tmp_path)
    else:
        async with postgres_database() as url:
            await _compare(url.render_as_string(hide_password=False), tmp_path)


async def _compare(url: str | None, folder: Path) -> None:
    chance = random.Random(20)
    holds = 0
    async with open_database(url, folder) as database:
        for _ in range(400):
            document, wanted = an_object(chance), an_object(chance)
            if chance.random() < 0.5:  # otherwise hardly any would be contained
                wanted = {k: v for k, v in document.items() if chance.random() < 0.5}
            column = literal(document, OBJECT)
            asked = select(contains(column, wanted), merged(column, wanted))
            said = (await in_database(database, asked)).one()
            assert said == (contained(wanted, document), {**document, **wanted}), (document, wanted)
            holds += said[0]
        nothing = cast(null(), OBJECT)  # where a row has no object, nothing is contained or equal
        asked = select(contains(nothing, {"a": 1}), member_equals(nothing, "a", 1))
        assert (await in_database(database, asked)).one() == (None, None)
    assert 100 < holds < 300


def test_what_no_database_stores_is_replaced_and_nothing_else() -> None:
    plain = {"banana": ["NaN", "\\u0000", "é🎈", 1e300, None, True]}
    assert storable(plain) == plain
    odd = {"\0": ["a\ud800", float("nan"), float("-inf"), {"k": "\udfff"}, "🎈"]}
    assert storable(odd) == {"\ufffd": ["a\ufffd", None, None, {"k": "\ufffd"}, "🎈"]}
