"""`ChatOpenAI` that returns only answers it has received to their end, under its own deadlines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import Field
from typing_extensions import override

from everturn.graph.models.answer import Answer
from everturn.graph.models.bounds import ACCEPTED, MAX_ANSWER
from everturn.graph.models.call import Call, Racer
from everturn.graph.models.connection import send
from everturn.graph.models.content import wire_messages
from everturn.graph.models.failures import CallFailed
from everturn.graph.models.hedge import Race
from everturn.graph.models.reader import Chunk
from everturn.graph.models.request import request_body
from everturn.graph.models.traits import Body, LeftOut, Traits
from everturn.graph.models.transport import endpoint
from everturn.graph.models.wire import Clock, chunks_of, redirected, refusal_of

if TYPE_CHECKING:
    import httpx2


class OpenAIChat(ChatOpenAI):
    """Chat completions of any OpenAI-compatible provider, always streamed from the provider.

    A call that is not streamed can be kept open by white space for ever, and a streamed one can
    end early without a sign of it in LangChain's message. So the stream is read here: each wait
    has an end, and only a whole answer is one. Reading it raw is cheaper, too: LangChain's and
    the client's own chunks are made only where a client streams.

    It is made with an `http_async_client`. Its asynchronous methods raise CallFailed, Refused and
    what that client raises; `failure_of` tells them apart. They take a `call=` that limits and
    records them, and `stream_usage=True` to ask for a count of the tokens. OpenRouter's price of a
    call is kept as `response_metadata["cost"]`, in US dollars; reasoning as
    `additional_kwargs["reasoning_content"]`, beside the answer.
    """

    traits: Traits = Field(default_factory=Traits, exclude=True)
    """What this model takes; see there."""
    authenticated: bool = True
    """Whether there is a key to send. Local servers want none, but LangChain insists on one."""
    use_responses_api: bool | None = False
    """Whatever a model's name looks like: other providers have no such API."""
    first_token_timeout: float = 20.0
    """Seconds until an answer must have started."""
    stall_timeout: float = 30.0
    """Seconds between two pieces of an answer."""
    max_answer_size: int = MAX_ANSWER
    """Bytes of an answer as it comes, unpacked."""

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
                generation = self._generation(chunk)
                if generation is None:
                    continue
                if run_manager:
                    await run_manager.on_llm_new_token(generation.text, chunk=generation)
                yield generation
        kwargs = {name: v for name, v in call.answer.kwargs().items() if name != _REASONING}
        cost = {} if call.answer.cost is None else {"cost": call.answer.cost}
        if kwargs or cost:
            yield ChatGenerationChunk(
                message=AIMessageChunk(content="", additional_kwargs=kwargs, response_metadata=cost)
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
        message = result.generations[0].message
        message.additional_kwargs |= call.answer.kwargs()
        if call.answer.cost is not None:
            message.response_metadata["cost"] = call.answer.cost
        return result

    @override
    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return the request as it is sent, but for what this model is known to refuse."""
        left_out = kwargs.pop("left_out", ())
        messages = wire_messages(self._convert_input(input_).to_messages(), left_out)
        if kwargs.pop("stream_usage", False):
            kwargs["stream_options"] = {"include_usage": True}
        # Not ChatOpenAI's own: that one renames the token limit and a role by the model's name.
        payload = BaseChatOpenAI._get_request_payload(self, messages, stop=stop, **kwargs)  # noqa: SLF001 - its base class
        return request_body(payload, messages, self.model_name)

    def _generation(self, chunk: Chunk) -> ChatGenerationChunk | None:
        """Return a chunk as LangChain has it; one that holds nothing but words in less time."""
        choice = next(iter(chunk["choices"]), None)
        delta = choice["delta"] if choice and not choice["finish_reason"] else {}
        if not delta or "tool_calls" in delta or "usage" in chunk or self.output_version == "v1":
            generation = self._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)
        else:
            made_by = {"model_provider": "openai"}
            message = AIMessageChunk(content=delta["content"], response_metadata=made_by)
            generation = ChatGenerationChunk(message=message)
        if generation and (reasoning := delta.get("reasoning")):
            generation.message.additional_kwargs[_REASONING] = reasoning
        return generation

    async def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, call: Call, kwargs: Any
    ) -> AsyncGenerator[Chunk]:
        """Yield a whole answer; raise at its end what was wrong with it."""
        now = asyncio.get_running_loop().time
        racers: list[Racer] = [self, *call.rivals]
        call.begin([racer.model_name for racer in racers])
        streams = [racer.stream_of(messages, stop, call, kwargs) for racer in racers]
        race = Race([*map(_speaking, streams)], call.hedge_after, call)
        async with aclosing(race.run() if call.rivals else streams[0]) as stream:
            async for chunk in stream:
                if call.first_token is None:
                    call.first_token = now() - call.asked_at[call.model]
                for shown in await call.shown(chunk):
                    call.answer.add(shown)
                    yield shown
        if flaw := call.answer.flaw():
            raise CallFailed(flaw)

    def stream_of(
        self, messages: list[BaseMessage], stop: list[str] | None, call: Call, kwargs: Any
    ) -> AsyncGenerator[Chunk]:
        """See `Racer`."""
        left_out = call.left_out.get(self.model_name, ())
        payload = self._get_request_payload(messages, stop=stop, left_out=left_out, **kwargs)
        return self._open(payload, call)

    async def _open(self, payload: Body, call: Call) -> AsyncGenerator[Chunk]:
        """Ask this model; where it refuses a parameter, ask again at once without it."""
        call.asked_at[self.model_name] = asyncio.get_running_loop().time()
        patience = call.first_token_timeout or self.first_token_timeout
        clock = Clock(self.stall_timeout, call.end, patience)
        try:
            async with clock.running():
                body, suspected, response = await self._response(payload)
            used = False
            async with aclosing(chunks_of(response, clock, self.max_answer_size)) as chunks:
                async for chunk in chunks:
                    used = used or bool(chunk.get("usage"))
                    yield chunk
        except TimeoutError:
            raise CallFailed(clock.overrun()) from None
        self.traits.answered(with_usage=used, body=body, suspected=suspected)

    async def _response(self, payload: Body) -> tuple[Body, LeftOut, "httpx2.Response"]:
        """Return the body that was not refused, what it goes without, and the response's head."""
        suspected: LeftOut = {}
        while True:
            body = self.traits.fit(payload, suspected)
            response = await self._send(body)
            if response.is_redirect:
                await response.aclose()
                raise redirected(response)
            if not response.is_error:
                return body, suspected, response
            refused = await refusal_of(response)
            found = self.traits.suspects(refused, body)
            if found.items() <= suspected.items():  # nothing new: it would be refused for ever
                raise refused
            suspected = {**suspected, **found}

    async def _send(self, body: Body) -> "httpx2.Response":
        # What `chat.completions.create` does, but without its retries, and without walking
        # through every message to look for what has another name on the wire: nothing has.
        # That, and making address, headers and timeout anew, costs more than the call does.
        import httpx2

        url, headers, extensions = self._endpoint
        if self.authenticated:
            headers = {**headers, **self.root_async_client.auth_headers}
        request = httpx2.Request("POST", url, headers=headers, json=body, extensions=extensions)
        return await send(self._http, request)

    @cached_property
    def _endpoint(self) -> "tuple[httpx2.URL, dict[str, str], dict[str, Any]]":
        import httpx2

        client, http = self.root_async_client, self._http
        ours = {k: v for k, v in client.default_headers.items() if isinstance(v, str)}
        headers = {**http.headers, **{name.lower(): value for name, value in ours.items()}}
        headers["accept-encoding"] = ACCEPTED
        url = endpoint(str(self.openai_api_base), "chat/completions")
        return httpx2.URL(url), headers, {"timeout": http.timeout.as_dict()}

    @property
    def _http(self) -> "httpx2.AsyncClient":
        return self.http_async_client  # type: ignore[return-value]  # it always has one here

    @override
    def _get_invocation_params(
        self, stop: list[str] | None = None, *, call: Call | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Leave the call's own record out of what tracers are shown."""
        return super()._get_invocation_params(stop, **kwargs)


async def _speaking(stream: AsyncGenerator[Chunk]) -> AsyncGenerator[Chunk]:
    """Yield an answer from its first word on; raise what is wrong with one that has no word.

    In a race an empty answer is no answer: the quickest of all, it would win.
    """
    answer = Answer()
    async with aclosing(stream):
        async for chunk in stream:
            if not answer.started:
                answer.add(chunk)
            if answer.started:
                yield chunk
    if not answer.started and (flaw := answer.flaw()):
        raise CallFailed(flaw)


_REASONING = "reasoning_content"
