"""The chat model that needs no provider: LangChain's side of it, streaming and usage included."""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NoReturn

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field
from typing_extensions import override

from everturn.graph.models.response_format import schema_in
from everturn.graph.offline.calls import Call, allowed, bound_tools
from everturn.graph.offline.filling import filled
from everturn.graph.offline.turn import take_turn

_BYTES_PER_TOKEN = 4
_WORD = r"\S+\s*|\s+"


class OfflineModel(BaseChatModel):
    """A chat model that answers by rule: no key, no network, the same answer to the same input.

    It calls bound tools for calculations, the weather and searches asked for in English or Korean,
    several at once, and any tool that a text calls by `name(arguments)`; then it answers from the
    results. A tool `make_plan` gets what is asked for as steps, and a specialist, which takes a
    `task`, in the words of the user. It recalls the conversation it is given ("what did I ask you
    first?", "what is my name?"). To everything else it says what it is, what it can do, and how to
    get a real model.

    What it takes with a call: `tools`, `tool_choice`, `parallel_tool_calls`, `stop`, `max_tokens`.
    A forced call carries only what the text says: a missing argument is left out, never made up.
    An answer that has to fit a schema (`response_format`) is JSON where the schema asks for words:
    see `filling`. What it cannot do: other structured output, images and other media; temperature
    changes nothing.

    Its usage is zero: it has no tokens. Where a limit such as `max_tokens` needs a number, a token
    is four bytes of UTF-8, OpenAI's rule of thumb for English
    (https://platform.openai.com/tokenizer), which gives Korean three tokens for four letters.

    An instance has no state but its fields: share it between any number of concurrent calls.
    """

    model_name: str = "offline"
    """The name it answers under, in `response_metadata`."""
    delay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds between two chunks of a stream, for demonstrations."""
    notice: str = ""
    """Said before every answer in words: why it is this model that answers."""

    @property
    @override
    def _llm_type(self) -> str:
        return "offline"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "notice": self.notice}

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools it may call; those of providers alone it does not.

        `tool_choice`: `auto` (or none given), `any` or `required`, `none`, or a tool's name.

        Raises:
            ValueError: `tool_choice` is none of these.
        """
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        allowed(tool_choice, bound_tools(schemas))
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    @override
    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> NoReturn:
        """Refuse: rules cannot write what a schema asks for.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("The offline model has no structured output: it writes by rule.")

    @override
    def get_num_tokens(self, text: str) -> int:
        """Estimate the tokens of a text; see the class for how."""
        return math.ceil(len(_bytes(text)) / _BYTES_PER_TOKEN)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self._answer(messages, stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, stop, **kwargs)  # quicker than a thread would start

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for position, chunk in enumerate(_chunks(self._answer(messages, stop, **kwargs))):
            if position and self.delay:
                time.sleep(self.delay)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for position, chunk in enumerate(_chunks(self._answer(messages, stop, **kwargs))):
            if position and self.delay:
                await asyncio.sleep(self.delay)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _answer(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: Any = None,
        parallel_tool_calls: bool | None = None,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        bound = bound_tools(tools or ())
        callable_now, must = allowed(tool_choice, bound)
        turn = take_turn(messages, bound, callable_now, must=must)
        text, finish = self._cut(self.notice + turn.text if turn.text else "", stop, max_tokens)
        schema = schema_in(kwargs.get("response_format"))
        if schema is not None and text and not turn.calls:
            fits, value = filled(schema, text)
            text = _json(value) if fits else text
        calls = _with_ids(turn.calls[: 1 if parallel_tool_calls is False else None], messages)
        return AIMessage(
            text,
            tool_calls=calls,
            response_metadata={
                "model_name": self.model_name,
                "finish_reason": "tool_calls" if calls else finish,
            },
            usage_metadata=UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
        )

    def _cut(
        self, text: str, stop: Sequence[str] | None, max_tokens: int | None
    ) -> tuple[str, str]:
        """Cut a text where it must end, between words if for its length; say why it ends."""
        ends = [at for mark in stop or () if mark and (at := text.find(mark)) >= 0]
        text = text[: min(ends, default=len(text))]
        if max_tokens is None or self.get_num_tokens(text) <= max_tokens:
            return text, "stop"
        kept = ""
        for word in re.findall(_WORD, text):
            if self.get_num_tokens(kept + word) > max_tokens:
                break
            kept += word
        return kept, "length"

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "offline"
        return params

    @override
    def _resolve_model_profile(self) -> ModelProfile:
        return ModelProfile(
            text_inputs=True,
            text_outputs=True,
            image_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            pdf_inputs=False,
            reasoning_output=False,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=True,
            structured_output=False,
            temperature=False,
        )


def _chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """Split a message word by word; the last chunk is empty but for usage and the reason to end."""
    for word in re.findall(_WORD, str(message.content)):
        yield ChatGenerationChunk(message=AIMessageChunk(content=word))
    for index, call in enumerate(message.tool_calls):
        pieces = [tool_call_chunk(name=call["name"], args="", id=call["id"], index=index)]
        arguments = re.findall(_WORD, _json(call["args"]))
        pieces += [tool_call_chunk(args=words, index=index) for words in arguments]
        for piece in pieces:
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
            chunk_position="last",
        )
    )


def _with_ids(calls: Sequence[Call], messages: Sequence[BaseMessage]) -> list[ToolCall]:
    """Give each call an id of its own that the same conversation always gives again."""
    if not calls:
        return []
    said = blake2b(digest_size=12)
    for message in messages:
        said.update(_bytes(f"{message.type}\0{message.id}\0{_everything(message)}\0"))
    return [
        tool_call(name=call.tool, args=call.arguments, id=f"call_{said.hexdigest()}_{index}")
        for index, call in enumerate(calls)
    ]


def _everything(message: BaseMessage) -> str:
    """Return what a message says and calls."""
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return "".join([message.text, *(call["name"] + _json(call["args"]) for call in calls)])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
