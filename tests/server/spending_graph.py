"""A graph of one's own, which knows nothing of budgets: it asks its model five times a run."""

from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langgraph.graph import START, MessagesState, StateGraph

_USAGE = UsageMetadata(input_tokens=6, output_tokens=4, total_tokens=10)
_said = AIMessage("Again.", usage_metadata=_USAGE)
_model = FakeMessagesListChatModel(responses=[_said])


async def ask(state: MessagesState) -> MessagesState:
    """Ask a model without handing on the config: LangChain finds it."""
    answer = await _model.ainvoke(state["messages"])
    return {"messages": [answer.model_copy(update={"id": None})]}


def think(state: MessagesState) -> MessagesState:
    """The same in a thread, as plain functions are run."""
    answer = _model.invoke(state["messages"])
    return {"messages": [answer.model_copy(update={"id": None})]}


def after(state: MessagesState) -> str:
    """Go on until five answers came."""
    said = 0
    for message in reversed(state["messages"]):
        if isinstance(message, HumanMessage):
            break
        said += 1
    return "ask" if said < 4 else "think" if said < 5 else "__end__"


builder = StateGraph(MessagesState).add_node("ask", ask).add_node("think", think)
builder.add_edge(START, "ask").add_conditional_edges("ask", after)
graph = builder.add_conditional_edges("think", after).compile()
