"""Searching as the settings want it: with a service, or marked samples when none answers."""

from collections.abc import Iterator

from everturn.tools.kit.web import Web, current_web
from everturn.tools.providers.first_answer import NoServiceAnswered, first_answer
from everturn.tools.providers.sample import sample_note
from everturn.tools.providers.search import SearchProvider, SearchReport
from everturn.tools.providers.search.ddgs import Ddgs
from everturn.tools.providers.search.offline import OfflineSearch
from everturn.tools.providers.search.searxng import SearXNG
from everturn.tools.providers.search.wikipedia import Wikipedia


class SearchServices:
    """SearXNG and DDGS where set, then Wikipedia, then what `EVERTURN_TOOLS_OFFLINE` says."""

    name = "services"

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return results, or raise NoServiceAnswered where sample data is not wanted."""
        web, sample = await current_web(), OfflineSearch()
        if web.settings.tools_offline == "always":
            return await sample.find(query, max_results)
        try:
            return await first_answer(
                _services(web), lambda service: service.find(query, max_results, language=language)
            )
        except NoServiceAnswered as reason:
            if web.settings.tools_offline == "never":
                raise
            report = await sample.find(query, max_results)
            report["note"] = sample_note("search results", str(reason))
            return report


def _services(web: Web) -> Iterator[SearchProvider]:
    if web.settings.searxng_url is not None:
        yield SearXNG(web, str(web.settings.searxng_url))
    if web.settings.ddgs_engines is not None:
        yield Ddgs(web, web.settings.ddgs_engines)
    yield Wikipedia(web)
