"""The tool `search`: finds pages, through the provider in place."""

from typing import Annotated

from langchain_core.tools import ToolException, tool
from pydantic import Field, StringConstraints

from everturn.tools.kit.current import do_not_cache
from everturn.tools.kit.declare import declare
from everturn.tools.providers.first_answer import NoServiceAnswered
from everturn.tools.providers.search import SearchProvider, SearchReport
from everturn.tools.providers.search.services import SearchServices

Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]
Count = Annotated[int, Field(ge=1, le=10)]
# It becomes part of a host's name.
Language = Annotated[str, StringConstraints(pattern=r"^([a-z]{2,12}(-[a-z]{2,12}){0,2})?$")]

provider: SearchProvider = SearchServices()


@declare(cache=3600)
@tool(parse_docstring=True)
async def search(query: Query, max_results: Count = 5, language: Language = "") -> SearchReport:
    """Search for facts, people, places, events and documents.

    Args:
        query: What to look for, in any language, e.g. "tallest tower in Asia".
        max_results: How many results to return at most, 1 to 10.
        language: The code of the language to search in, e.g. "de"; left out, it is the query's.
    """
    try:
        report = await provider.find(query, max_results, language=language)
    except NoServiceAnswered as error:
        raise ToolException(str(error)) from None
    if report["sample"]:  # what stands in for an answer must not outlast its reason
        do_not_cache()
    return report


search.handle_tool_error = True  # the model reads what a ToolException says
