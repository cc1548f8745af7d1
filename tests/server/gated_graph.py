"""A chat that says what it is told to, word for word, and waits at gates.

What a user writes is answered word by word. A word `@FILE` is not said: there the answer waits
until the file exists. `look` first calls a tool, and `ask` one that asks the user.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer
from langgraph.types import interrupt


class Words(BaseChatModel):
    """Streams the words of the user's last message."""

    @property
    def _llm_type(self) -> str:
        return "words"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError("it only streams")

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = next(each for each in reversed(messages) if isinstance(each, HumanMessage))
        first, *rest = words = asked.text.split()
        if first in TOOLS and messages[-1] is asked:
            args = '{"what": "it"}'
            call = tool_call_chunk(name=first, args=args, id=f"call-{first}", index=0)
            chunk = AIMessageChunk(content="", tool_call_chunks=[call], chunk_position="last")
            yield ChatGenerationChunk(message=chunk)
            return
        for word in rest if first in TOOLS else words:
            if word.startswith("@"):
                await _open(Path(word[1:]))
            else:
                chunk = AIMessageChunk(content=f"{word} ")
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text)
                yield ChatGenerationChunk(message=chunk)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))


async def _open(gate: Path) -> None:
    while not gate.exists():  # noqa: ASYNC110 - a file of another process
        await asyncio.sleep(0.01)


@tool
async def look(what: str) -> str:
    """Look at something."""
    get_stream_writer()({"name": "seen", "what": what})
    return f"seen: {what}"


@tool
async def ask(what: str) -> str:
    """Ask the user."""
    return f"answered: {interrupt({'question': what})}"


TOOLS = {each.name: each for each in (look, ask)}


async def model(state: MessagesState) -> dict[str, list[BaseMessage]]:
    answer = await Words().ainvoke(state["messages"])
    assert isinstance(answer, AIMessage)
    return {"messages": [answer]}


async def left(state: MessagesState) -> dict[str, list[BaseMessage]]:
    said = interrupt({"question": "left?"})
    return {"messages": [AIMessage(f"left: {said}")]}


async def right(state: MessagesState) -> dict[str, list[BaseMessage]]:
    said = interrupt({"question": "right?"})
    return {"messages": [AIMessage(f"right: {said}")]}


builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_node("tools", ToolNode(list(TOOLS.values())))
builder.add_edge(START, "model")
builder.add_conditional_edges("model", tools_condition)
builder.add_edge("tools", "model")
graph = builder.compile()

asking = StateGraph(MessagesState)
asking.add_node("left", left)
asking.add_node("right", right)
asking.add_edge(START, "left")
asking.add_edge(START, "right")
two = asking.compile()


class Count(StreamTransformer):
    """Counts what is told of messages."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._count = 0
        self._counted: StreamChannel[dict[str, int]] = StreamChannel("counted")

    def init(self) -> dict[str, Any]:
        return {"counted": self._counted}

    def process(self, event: ProtocolEvent) -> bool:
        if event["method"] == "messages":
            self._count += 1
            self._counted.push({"events": self._count})
        return True


counting = builder.compile(transformers=[Count])

outer = StateGraph(MessagesState)
outer.add_node("team", graph)
outer.add_edge(START, "team")
nested = outer.compile()
