"""One answer as it is kept, and as it is given once more: a chat model that says it again."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel, ValidationError
from typing_extensions import override

from everturn.graph.models.answer import PROVIDER_FIELDS
from everturn.graph.state import Usage

_REASONING = "reasoning_content"
_KWARGS = (_REASONING, PROVIDER_FIELDS)
_METADATA = ("model_name", "finish_reason", "id", "system_fingerprint", "model_provider")
_PIECE = r"(?s).{1,48}\S*\s*"
"""Words are streamed some at once: an answer that is there need not pretend to be written."""


class Kept(BaseModel):
    """What a model said, and what that took."""

    model: str
    made_at: float
    """Seconds since 1970."""
    content: str
    tool_calls: list[dict[str, Any]]
    extras: dict[str, Any]
    metadata: dict[str, Any]
    usage: Usage | None = None
    cost: float | None = None
    """US dollars."""

    @classmethod
    def of(cls, answer: AIMessage, model: str, cost: float | None) -> Self | None:
        """Return an answer as it is kept; `None` where it is more than words and calls."""
        if not isinstance(answer.content, str):
            return None
        used = answer.usage_metadata
        return cls(
            model=model,
            made_at=time.time(),
            content=answer.content,
            tool_calls=[{**call} for call in answer.tool_calls],
            extras=_some(answer.additional_kwargs, _KWARGS),
            metadata=_some(answer.response_metadata, _METADATA),
            usage=used
            and Usage(
                input_tokens=used["input_tokens"],
                output_tokens=used["output_tokens"],
                total_tokens=used["total_tokens"],
            ),
            cost=cost,
        )

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what `write` wrote; `None` for anything else, such as another version's."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    def write(self) -> str | None:
        """Return it as text; `None` where a provider's fields cannot be written as JSON."""
        try:
            return json.dumps(self.model_dump(), ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            return None

    @property
    def age(self) -> float:
        """Seconds since it was made; clocks of several machines differ."""
        return max(0.0, time.time() - self.made_at)

    def message(self) -> AIMessage:
        """Return the answer; it took nothing this time."""
        return AIMessage(
            self.content,
            tool_calls=self.tool_calls,
            additional_kwargs={**self.extras},
            response_metadata={**self.metadata},
            usage_metadata=UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
        )


class KeptAnswer(BaseChatModel):
    """Says one answer, whatever it is asked; streamed like any other."""

    answer: AIMessage

    @property
    @override
    def _llm_type(self) -> str:
        return "kept-answer"

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answer)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages)

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for message in _chunks(self.answer):
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _chunks(answer: AIMessage) -> Iterator[AIMessageChunk]:
    kwargs = {**answer.additional_kwargs}
    for thought in re.findall(_PIECE, kwargs.pop(_REASONING, "")):
        yield AIMessageChunk(content="", additional_kwargs={_REASONING: thought})
    for words in re.findall(_PIECE, str(answer.content)):
        yield AIMessageChunk(content=words)
    for index, call in enumerate(answer.tool_calls):
        args = json.dumps(call["args"], ensure_ascii=False)
        piece = tool_call_chunk(name=call["name"], args=args, id=call["id"], index=index)
        yield AIMessageChunk(content="", tool_call_chunks=[piece])
    yield AIMessageChunk(
        content="",
        additional_kwargs=kwargs,
        usage_metadata=answer.usage_metadata,
        response_metadata=answer.response_metadata,
        chunk_position="last",
    )


def _some(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name)}
