"""The seam of `tools/search.py`: what a search service is asked, and what it answers."""

from typing import Protocol, TypedDict


class Hit(TypedDict):
    """One result of a search."""

    title: str
    url: str
    snippet: str


class SearchReport(TypedDict):
    """The results of a search, best first, who found them, and whether they are only samples."""

    query: str
    results: list[Hit]
    source: str
    sample: bool
    note: str


class SearchProvider(Protocol):
    """A search service."""

    name: str

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return at most `max_results` results for `query`, in any language.

        `language` is the code of the language the results should be in; empty: the query's own.
        Raises WebError where the service brought nothing; no results are an answer.
        """
        ...
