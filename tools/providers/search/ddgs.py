"""DDGS, which asks several search engines at once and needs no key: https://github.com/deedy5/ddgs.

It makes its own requests, to the fixed hosts of those engines, and blocks: so it runs in a thread,
and what the pooled client does for other services, time and names for failures, is done here. Only
what is in its results is a stranger's, and nothing of that is asked for here.
"""

import asyncio
from functools import partial

from structlog import get_logger

from everturn.tools.kit.threads import in_thread
from everturn.tools.kit.web import BadAnswer, Unreachable, Web
from everturn.tools.providers.languages import language_of
from everturn.tools.providers.search import Hit, SearchReport

log = get_logger(__name__)

_MAX_SNIPPET = 500
_COUNTRIES = {"en": "us", "ko": "kr", "ja": "jp", "zh": "cn", "uk": "ua", "el": "gr", "hi": "in"}
"""Of languages that are not called as the country where most search in them."""
_NOTHING = "No results found."
"""Not a class of its own among DDGS's errors, but an answer."""


class Ddgs:
    """A search provider at the engines that `EVERTURN_DDGS_ENGINES` names."""

    name = "DDGS"

    def __init__(self, web: Web, engines: str) -> None:
        self._web = web
        self._engines = engines

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return pages, best first."""
        language = (language or language_of(query)).partition("-")[0]
        seconds = self._web.settings.web_timeout
        region = f"{_COUNTRIES.get(language, language)}-{language}"
        # An engine has half of the time, so that a slow one leaves some for the next.
        patience = max(1, round(seconds / 2))
        ask = partial(_ask, query, max_results, region, self._engines, patience)
        with self._web.breaker.watching(self.name):
            _, answer = in_thread(ask, f"search by {self.name}")
            try:
                async with asyncio.timeout(seconds):
                    results = await answer
            except TimeoutError:
                raise Unreachable(f"{self.name} did not answer within {seconds:g} s") from None
            except Exception as error:
                # Its text holds the query, which is no business of the log.
                log.info("request_failed", service=self.name, error=type(error).__name__)
                raise BadAnswer(f"{self.name} brought no results") from None
        return {
            "query": query,
            "results": results,
            "source": self.name,
            "sample": False,
            "note": "",
        }


def _ask(query: str, max_results: int, region: str, engines: str, seconds: int) -> list[Hit]:
    from ddgs import DDGS
    from ddgs.exceptions import DDGSException, TimeoutException

    try:
        found = DDGS(timeout=seconds).text(
            query, region=region, max_results=max_results, backend=engines
        )
    except TimeoutException:
        raise TimeoutError from None
    except DDGSException as error:
        if str(error) == _NOTHING:
            return []
        raise
    return [
        {
            "title": result["title"],
            "url": result["href"],
            "snippet": " ".join(result["body"].split())[:_MAX_SNIPPET],
        }
        for result in found
    ]
