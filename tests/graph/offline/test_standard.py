"""The suites that LangChain publishes for chat models, on the offline model."""

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from everturn.graph.offline import OfflineModel


class _Declared:
    """What the model says of itself, for both suites; whatever is not here is left as published."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return OfflineModel

    @property
    def supports_anthropic_inputs(self) -> bool:
        # Content in blocks, tool use and thinking among them: what is text of it is read.
        return True

    @property
    def has_structured_output(self) -> bool:
        # A rule cannot write what a schema asks for: `with_structured_output` refuses.
        return False

    @property
    def returns_usage_metadata(self) -> bool:
        # It does, and all of it is zero: the suite wants at least one token.
        return False

    @property
    def supports_model_override(self) -> bool:
        # There is one offline model: it does not answer under another's name.
        return False


class TestUnit(_Declared, ChatModelUnitTests):
    """Construction, binding, tracing parameters."""


class TestIntegration(_Declared, ChatModelIntegrationTests):
    """Calls: answers, streams, tools, usage."""
