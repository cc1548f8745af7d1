"""A graph whose nodes write down that they ran; a question says how long each takes.

A question is a name, milliseconds a node and words of the answer: `q7 40 5`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from operator import add
from typing import Annotated, Any, TypedDict

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, StateGraph, add_messages

from tests.soak.journal import note

NODES = ("plan", "look", "check", "answer")


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: Annotated[list[str], add]


class Slow(BaseChatModel):
    """Says some words, and takes its time for each."""

    name_of_question: str
    words: int
    pause: float

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        said = " ".join(self._words())
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number, word in enumerate(self._words()):
            await asyncio.sleep(self.pause)
            text = f" {word}" if number else word
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
            if run_manager:
                await run_manager.on_llm_new_token(text, chunk=chunk)
            yield chunk

    def _words(self) -> list[str]:
        return ["answer", "to", self.name_of_question, *["well"] * self.words]


def _question(state: State) -> tuple[str, float, int]:
    asked = next(each for each in reversed(state["messages"]) if each.type == "human")
    name, milliseconds, words = asked.text.split()
    return name, float(milliseconds) / 1000, int(words)


def _node(name: str) -> Callable[[State, RunnableConfig], Awaitable[dict[str, Any]]]:
    async def node(state: State, config: RunnableConfig) -> dict[str, Any]:
        question, seconds, words = _question(state)
        about = config.get("metadata", {})
        run = str(about.get("run_id")), int(about.get("run_attempt", 1)), question
        note(*run, name, "begin")
        update: dict[str, Any] = {"steps": [f"{question} {name}"]}
        if name == NODES[-1]:
            model = Slow(name_of_question=question, words=words, pause=seconds / (words + 3))
            update["messages"] = [await model.ainvoke(state["messages"], config)]
        else:
            await asyncio.sleep(seconds)
        note(*run, name, "end")
        return update

    return node


builder = StateGraph(State)
for _before, _name in zip((START, *NODES), NODES, strict=False):
    builder.add_node(_name, RunnableLambda(_node(_name)))
    builder.add_edge(_before, _name)
graph = builder.compile()
