"""The filters of rules: alike in Python and both databases; what is not understood is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from everturn.checkpoints.sql.database import open_database
from everturn.checkpoints.sql.threads import Filter, ThreadTable, new_thread
from everturn.server.access.filters import match_of
from everturn.server.errors import InvalidRule
from tests.checkpoints.stores import postgres_database

METADATA: dict[str, Any] = {
    "owner": "alice",
    "parts": ["a", "b"],
    "n": 3,
    "yes": True,
    "deep": {"a": 1},
    "none": None,
}

# As LangGraph's server answers each, but for those after the blank line: it lets everybody in.
FILTERS: list[tuple[dict[str, Any], bool]] = [
    ({"owner": "alice"}, True),
    ({"owner": "bob"}, False),
    ({"owner": {"$eq": "alice"}}, True),
    ({"owner": {"$eq": "ali"}}, False),
    ({"parts": {"$contains": "a"}}, True),
    ({"parts": {"$contains": "z"}}, False),
    ({"parts": {"$contains": ["a", "b"]}}, True),
    ({"parts": {"$contains": ["b", "a"]}}, True),
    ({"parts": {"$contains": ["a", "z"]}}, False),
    ({"parts": ["a", "b"]}, True),
    ({"parts": ["a"]}, False),
    ({"parts": "a"}, False),
    ({"owner": {"$contains": "ali"}}, False),
    ({"n": 3}, True),
    ({"n": True}, False),
    ({"yes": True}, True),
    ({"yes": 1}, False),
    ({"none": None}, True),
    ({"missing": None}, False),
    ({"owner": "alice", "n": 4}, False),
    ({"$or": [{"owner": "bob"}, {"owner": "alice"}]}, True),
    ({"$or": [{"owner": "bob"}, {"n": 4}]}, False),
    ({"$and": [{"owner": "alice"}, {"n": 3}]}, True),
    ({"$and": [{"owner": "bob"}, {"n": 3}]}, False),
    ({"owner": "alice", "$or": [{"n": 3}, {"n": 4}]}, True),
    ({"owner": "bob", "$or": [{"n": 3}, {"n": 4}]}, False),
    ({}, True),
    ({"deep": {"a": 1}}, True),
    ({"deep": {"a": 2}}, False),
    ({"deep": {}}, False),
    ({"owner": {"a": 1}}, False),
    ({"parts": {"$eq": ["b", "a"]}}, False),
]


@pytest.fixture(params=["sqlite", "postgres"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ThreadTable]:
    if request.param == "sqlite":
        async with open_database(None, tmp_path) as database:
            yield ThreadTable(database)
        return
    async with (
        postgres_database() as url,
        open_database(url.render_as_string(hide_password=False), tmp_path) as database,
    ):
        yield ThreadTable(database)


async def test_a_filter_says_the_same_of_one_row_and_in_a_search(table: ThreadTable) -> None:
    thread = new_thread(metadata=METADATA)
    await table.create(thread)
    for wanted, fits in FILTERS:
        match = match_of(wanted)
        assert match.fits(METADATA) is fits, wanted
        filtered = Filter(ids=[thread.thread_id], allowed=match)
        assert await table.count(filtered) == int(fits), wanted
        assert len(await table.search(filtered, limit=2)) == int(fits), wanted


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"owner": {"$ne": "x"}}, r"owner: there is no operator \$ne"),
        ({"owner": {"$eq": "x", "more": 1}}, "owner: operators and members"),
        ({"$not": {"owner": "x"}}, r"no operator \$not"),
        ({"$or": []}, r"\$or takes a list"),
        ({"$or": ["owner"]}, r"\$or takes a list"),
        ({"owner": object()}, "must be JSON"),
        ({1: "x"}, "must be a text"),
    ],
)
def test_a_filter_that_is_not_understood_lets_nobody_in(wanted: Any, words: str) -> None:
    with pytest.raises(InvalidRule, match=words):
        match_of(wanted)
