"""Wikipedia in any of its languages: articles, each with the beginning of its text.

https://www.mediawiki.org/wiki/API:Search and https://www.mediawiki.org/wiki/Extension:TextExtracts
"""

from pydantic import BaseModel, ValidationError

from everturn.tools.kit.web import BadAnswer, Web
from everturn.tools.providers.languages import language_of
from everturn.tools.providers.search import SearchReport

_MAX_SNIPPET = 500


class _Article(BaseModel):
    title: str
    index: int
    """Its rank among the results, which come in no order."""
    fullurl: str
    extract: str = ""


class _Pages(BaseModel):
    pages: list[_Article] = []


class _Answer(BaseModel):
    query: _Pages = _Pages()
    """Left out where nothing was found."""
    error: object = None


class Wikipedia:
    """A search provider that needs no key."""

    name = "Wikipedia"

    def __init__(self, web: Web) -> None:
        self._web = web

    async def find(self, query: str, max_results: int, *, language: str = "") -> SearchReport:
        """Return articles, best first."""
        language = language or language_of(query)
        name = f"{self.name} ({language})"
        host = self._web.settings.wikipedia_url.replace("{language}", language).rstrip("/")
        answer = await self._web.ask(
            name,
            f"{host}/w/api.php",
            {
                "action": "query",
                "generator": "search",
                "gsrsearch": query,
                "gsrlimit": max_results,
                "prop": "extracts|info",
                "inprop": "url",
                "exintro": 1,
                "explaintext": 1,
                "exlimit": "max",
                "exchars": _MAX_SNIPPET,
                "format": "json",
                "formatversion": 2,
            },
        )
        try:
            found = _Answer.model_validate(answer)
        except ValidationError:
            raise BadAnswer(f"{name} sent no results") from None
        if found.error is not None:  # with status 200
            raise BadAnswer(f"{name} answered with an error")
        articles = sorted(found.query.pages, key=lambda article: article.index)
        return {
            "query": query,
            "results": [
                {
                    "title": article.title,
                    "url": article.fullurl,
                    "snippet": " ".join(article.extract.split()),
                }
                for article in articles[:max_results]
            ],
            "source": name,
            "sample": False,
            "note": "",
        }
