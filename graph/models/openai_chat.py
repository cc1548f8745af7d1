"""`ChatOpenAI` that says only what it has heard to the end, under deadlines of its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from typing_extensions import override

from graph.models.call import Call
from graph.models.failures import CallFailed, Failure, failure_of
from graph.models.hedge import hedged
from graph.models.wire import Chunk, Clock, chunks_of, refusal_of

if TYPE_CHECKING:
    import httpx2


class OpenAIChat(ChatOpenAI):
    """Chat completions of any OpenAI-compatible provider, streamed upstream whoever listens.

    A call that is not streamed can be kept open by white space for ever, and a streamed one can
    end early without a sign of it in LangChain's message. So the stream is read here: each wait
    has an end, and only a whole answer is one. Reading it raw is cheaper, too: LangChain's and
    the client's own chunks are made only where somebody watches.

    It is made with an `http_async_client`. Its asynchronous methods raise CallFailed, Refused,
    TimeoutError and what that client raises; `failure_of` tells them apart. They take a `call=`
    that limits and records them. OpenRouter's price of a call is kept as
    `response_metadata["cost"]`, in US dollars.
    """

    first_token_timeout: float = 20.0
    """Seconds until an answer must have begun."""
    stall_timeout: float = 30.0
    """Seconds between two pieces of an answer."""

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        call: Call | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = call or Call()
        call.streamed = True
        async with aclosing(self._chunks(messages, stop, call, kwargs)) as chunks:
            async for chunk in chunks:
                generation = self._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
                if generation is None:
                    continue
                if run_manager:
                    await run_manager.on_llm_new_token(generation.text, chunk=generation)
                yield generation
        if call.answer.cost is not None:
            metadata = {"cost": call.answer.cost}
            yield ChatGenerationChunk(
                message=AIMessageChunk(content="", response_metadata=metadata)
            )

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        call: Call | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = call or Call()
        async with aclosing(self._chunks(messages, stop, call, kwargs)) as chunks:
            async for _ in chunks:
                pass
        result = self._create_chat_result(call.answer.completion())
        if call.answer.cost is not None:
            result.generations[0].message.response_metadata["cost"] = call.answer.cost
        return result

    async def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, call: Call, kwargs: Any
    ) -> AsyncGenerator[Chunk]:
        """Yield a whole answer; raise at its end what was wrong with it."""
        asked = {**kwargs, "stream": True, "stream_options": {"include_usage": True}}
        payload = self._get_request_payload(messages, stop=stop, **asked)
        now = asyncio.get_running_loop().time
        call.model, begun = self.model_name, now()
        stream = self._open(payload, call.end)
        if rival := call.rival:
            stream = hedged(
                stream,
                rival._open({**payload, "model": rival.model_name}, call.end),  # noqa: SLF001 - its own class
                call.hedge_after,
                lambda racer, error: self._lost(call, racer, error),
            )
        async with aclosing(stream):
            async for chunk in stream:
                if call.first_token is None:
                    late = 0.0 if call.model == self.model_name else call.hedge_after
                    call.first_token = now() - begun - late
                call.answer.add(chunk)
                yield chunk
        if flaw := call.answer.flaw():
            raise CallFailed(flaw)

    async def _open(self, payload: dict[str, Any], end: float) -> AsyncGenerator[Chunk]:
        now = asyncio.get_running_loop().time()
        clock = Clock(self.stall_timeout, end, due=now + self.first_token_timeout)
        async with clock.running():
            # What `chat.completions.create` does, but without its retries, and without walking
            # through every message to look for what has another name on the wire: nothing has.
            # That, and reading the headers anew for each call, costs more than the call does.
            url, headers = self._endpoint
            headers = {**headers, **self.root_async_client.auth_headers}  # the key, never kept
            http: httpx2.AsyncClient = self.http_async_client  # type: ignore[assignment]  # it always has one here
            request = http.build_request("POST", url, json=payload, headers=headers)
            response = await http.send(request, stream=True)
            if response.is_error:
                raise await refusal_of(response)
        async with aclosing(chunks_of(response, clock)) as chunks:
            async for chunk in chunks:
                yield chunk

    @cached_property
    def _endpoint(self) -> tuple[str, dict[str, str]]:
        client = self.root_async_client
        headers = {k: v for k, v in client.default_headers.items() if isinstance(v, str)}
        return f"{client.base_url}chat/completions", headers

    def _lost(self, call: Call, racer: int, error: BaseException | None) -> None:
        rival = call.rival.model_name if call.rival else ""
        loser, winner = (rival, self.model_name) if racer else (self.model_name, rival)
        call.model = winner
        call.lost[loser] = (
            failure_of(error)
            if isinstance(error, Exception)
            else Failure("outrun", f"{winner} spoke first")
        )

    @override
    def _get_invocation_params(
        self, stop: list[str] | None = None, *, call: Call | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Leave the call's own record out of what tracers are shown."""
        return super()._get_invocation_params(stop, **kwargs)
