"""One turn, as a pure function: from the conversation and the tools to an answer or to calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from everturn.graph.models.content import media_in, start_of_turn, text_of
from everturn.graph.offline.arguments import fill
from everturn.graph.offline.calls import Call, Tool, forced, kind_of, plan, serving
from everturn.graph.offline.facts import asked, stated
from everturn.graph.offline.intents import sentences
from everturn.graph.offline.memories import wish
from everturn.graph.offline.memory import Conversation, not_said, recall
from everturn.graph.offline.replies import Result, introduction, of_results, of_unserved
from everturn.graph.offline.wording import wording_for
from everturn.graph.summaries.notes import noted_of_user


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, or which tools it calls; never both."""

    text: str = ""
    calls: Sequence[Call] = ()


def take_turn(
    messages: Sequence[BaseMessage], tools: Sequence[Tool], allowed: Sequence[Tool], *, must: bool
) -> Answer:
    """Answer the newest message of the user, or call tools for it.

    `tools` are bound, `allowed` may be called now, and with `must` one of them is. Left free, the
    model calls tools once a turn: when results are there, it answers from them.
    """
    last = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    before, since = messages[: max(last, 0)], messages[last + 1 :]
    text = text_of(messages[last].content) if last >= 0 else ""
    if must and (calls := forced(text, allowed)):
        return Answer(calls=calls)

    words = wording_for(text)
    conversation = Conversation(
        users=_texts(before, HumanMessage),
        models=_texts(before, AIMessage),
        present=text,
        noted=noted_of_user(text_of(messages[0].content)) if messages else (),
    )
    remembers = serving("recall", allowed)
    recalled = {one: recall(one, conversation, words) for one in sentences(text)}
    if remembers:  # what was not said in this conversation may have been in an earlier one
        unknown = {one for one in recalled if wish(one) or not_said(one, conversation)}
        recalled |= dict.fromkeys(unknown)
    made = plan("\n".join(one for one, answer in recalled.items() if answer is None), tools)
    if remembers:
        made.calls += [
            Call(remembers.name, fill(remembers.parameters, one, subject=asked(one)))
            for one in unknown
            if not wish(one)
        ]
    results = _results(since)
    if made.calls and allowed and not results:
        return Answer(calls=made.calls)

    said = [answer for answer in recalled.values() if answer is not None]
    if not any(kind_of(result.tool) == "remember" for result in results):
        said += [words.noted.format(what, value) for what, value in stated(text)]
    said += of_results(results, words)
    said += of_unserved(made, tools, words)
    answer = "\n".join(said) or introduction(allowed, words)
    blind = media_in(messages[start_of_turn(messages) :])
    return Answer(f"{words.sees_nothing}\n{answer}" if blind else answer)


def _texts(messages: Sequence[BaseMessage], speaker: type[BaseMessage]) -> list[str]:
    spoken = (message for message in messages if isinstance(message, speaker))
    texts = (text_of(message.content).strip() for message in spoken)
    return [text for text in texts if text]


def _results(messages: Sequence[BaseMessage]) -> list[Result]:
    """Pair the results of the turn with the calls they answer."""
    calls = chain.from_iterable(m.tool_calls for m in messages if isinstance(m, AIMessage))
    by_id = {call["id"]: call for call in calls}
    results = []
    for message in messages:
        if isinstance(message, ToolMessage):
            call = by_id.get(message.tool_call_id)
            results.append(
                Result(
                    tool=message.name or (call["name"] if call else "tool"),
                    arguments=call["args"] if call else {},
                    content=text_of(message.content),
                    failed=message.status == "error",
                )
            )
    return results
