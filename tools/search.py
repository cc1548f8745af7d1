"""The tool `search`: finds pages, through the provider in place."""

from typing import Annotated

from langchain_core.tools import tool
from pydantic import Field, StringConstraints

from tools.kit.search import SearchProvider, SearchReport
from tools.kit.search.offline import OfflineSearch

Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Count = Annotated[int, Field(ge=1, le=10)]

provider: SearchProvider = OfflineSearch()


@tool(parse_docstring=True)
async def search(query: Query, max_results: Count = 5) -> SearchReport:
    """Search for facts, people, places, events and documents.

    Args:
        query: What to look for, in any language, e.g. "tallest tower in Asia".
        max_results: How many results to return at most, 1 to 10.
    """
    return await provider.find(query, max_results)
