"""Search without a network: results that claim nothing, marked as samples."""

from everturn.tools.providers.sample import SOURCE, sample_note, seeded
from everturn.tools.providers.search import Hit, SearchReport

_KINDS = (
    "overview",
    "introduction",
    "questions and answers",
    "recent developments",
    "history",
    "practical guide",
    "comparison",
    "research",
    "community discussion",
    "statistics",
)


class OfflineSearch:
    """A search provider that asks no service."""

    name = "offline"

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return sample results; their addresses are under example.org, reserved by RFC 2606."""
        kinds = seeded(query).sample(_KINDS, min(max_results, len(_KINDS)))
        return {
            "query": query,
            "results": [_hit(rank, kind, query) for rank, kind in enumerate(kinds, start=1)],
            "source": SOURCE,
            "sample": True,
            "note": sample_note("search results"),
        }


def _hit(rank: int, kind: str, query: str) -> Hit:
    return {
        "title": f"{query}: {kind} (sample {rank})",
        "url": f"https://example.org/sample/{kind.replace(' ', '-')}",
        "snippet": "Sample: what such a page says would stand here.",
    }
