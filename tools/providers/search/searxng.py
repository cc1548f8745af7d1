"""A SearXNG of the operator's own, which asks many search engines at once.

https://docs.searxng.org/dev/search_api.html
"""

from pydantic import BaseModel, ValidationError

from everturn.tools.kit.web import BadAnswer, Web
from everturn.tools.providers.search import SearchReport

_MAX_SNIPPET = 500
_FORBIDDEN = 403


class _Result(BaseModel):
    url: str
    title: str
    content: str | None = None


class _Answer(BaseModel):
    results: list[_Result]


class SearXNG:
    """A search provider at `EVERTURN_SEARXNG_URL`."""

    name = "SearXNG"

    def __init__(self, web: Web, url: str) -> None:
        self._web = web
        self._url = url.rstrip("/")

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return pages, best first."""
        params = {"q": query, "format": "json"} | ({"language": language} if language else {})
        try:
            answer = await self._web.ask(self.name, f"{self._url}/search", params)
        except BadAnswer as error:
            if error.status == _FORBIDDEN:
                raise BadAnswer(
                    f"{self.name} refuses: its settings.yml must list json under search.formats",
                    status=error.status,
                ) from None
            raise
        try:
            found = _Answer.model_validate(answer)
        except ValidationError:
            raise BadAnswer(f"{self.name} sent no results") from None
        return {
            "query": query,
            "results": [
                {
                    "title": result.title,
                    "url": result.url,
                    "snippet": " ".join((result.content or "").split())[:_MAX_SNIPPET],
                }
                for result in found.results[:max_results]
            ],
            "source": self.name,
            "sample": False,
            "note": "",
        }
