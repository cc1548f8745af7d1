"""The end without an answer: the service cannot speak to its models until somebody acts."""

from typing import Never

from graph.errors import InvalidAPIKey, ProviderFailed
from graph.state import State


async def stop(state: State) -> Never:
    """Raise the one clear error of this run; no message is added to the thread.

    Raises:
        InvalidAPIKey: the provider refused the key.
        ProviderFailed: the only model that could be asked did not answer.
    """
    attempt = state["route"]["tried"][-1]
    if attempt["failure"] == "invalid_api_key":
        raise InvalidAPIKey(attempt["message"])
    raise ProviderFailed(f"The model {attempt['model']} did not answer: {attempt['message']}")
