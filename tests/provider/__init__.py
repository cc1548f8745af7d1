"""A fake model provider: OpenRouter's wire over real HTTP, scripted from a test, with every fault.

    with FakeProvider() as provider:
        provider.script("model-a", "Hello", Fault(429, retry_after=2))
        ChatOpenAI(base_url=provider.url, api_key=KEY, model="model-a")
        assert provider.calls("model-a") == 1

A script is a row of steps, one a call; the last one stays. A step is a text, a `Reply`, a `Fault`
or a function of the `Request`. A model without a script echoes and uses a calculator it is offered.
`FakeProvider(profile="mistral")` is as strict as Mistral and speaks as it does; see `profiles`.
"""

from tests.provider.echo import chaos, echo
from tests.provider.offer import Offer
from tests.provider.script import EVERY_FAULT, Fault, Reply, Request, ToolCall
from tests.provider.server import KEY, FakeProvider

__all__ = [
    "EVERY_FAULT",
    "KEY",
    "FakeProvider",
    "Fault",
    "Offer",
    "Reply",
    "Request",
    "ToolCall",
    "chaos",
    "echo",
]
