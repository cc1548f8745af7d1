"""The body of a request: what was chosen, and the conversation in a form that every provider takes.

Mistral, Anthropic, Gemini and the templates of local models are stricter than OpenAI: a system
message comes first or not at all, the user and the model take turns, nothing is empty, and every
call is answered before anything else is said.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from everturn.graph.models.answer import PROVIDER_FIELDS
from everturn.tools.kit.offered import offered_name

Message = dict[str, Any]
"""One message as the wire has it."""

_BROKEN_OFF = "(The answer was broken off.)"
_EMPTY_RESULT = "(no output)"
_NO_WORDS = "(no words)"
_START = "(The conversation starts here.)"


def request_body(
    payload: dict[str, Any], messages: Sequence[BaseMessage], model: str
) -> dict[str, Any]:
    """Complete the body that LangChain makes: `payload["messages"]` are those of `messages`.

    Nothing is sent that no one chose. What a provider gave with a message goes back to the model
    that the message is from, and to no other.
    """
    chosen = {name: value for name, value in payload.items() if value not in (None, [], {})}
    if "tools" not in chosen:
        for name in ("tool_choice", "parallel_tool_calls"):  # refused where there are no tools
            chosen.pop(name, None)
    turn = _start_of_turn(messages)
    ids: dict[str, str] = {}
    written = [
        _written(message, wire, model, ids, in_turn=number >= turn)
        for number, (message, wire) in enumerate(zip(messages, payload["messages"], strict=True))
    ]
    return {**chosen, "messages": list(_in_order(written)), "model": model, "stream": True}


def _start_of_turn(messages: Sequence[BaseMessage]) -> int:
    """Return where the current turn starts: at what the user said last."""
    users = (i for i in range(len(messages) - 1, -1, -1) if isinstance(messages[i], HumanMessage))
    return next(users, 0)


def _written(
    message: BaseMessage, wire: Message, model: str, ids: dict[str, str], *, in_turn: bool
) -> Message:
    """Return one message as it is sent; `ids` are those that other models gave their calls."""
    if wire["role"] in {"system", "developer"}:
        # LangChain writes `developer` for models whose names begin with o1 or the like.
        return {**wire, "role": "system"}
    if wire["role"] == "tool":
        call_id = wire["tool_call_id"]
        return {
            **wire,
            "content": wire["content"] if _says(wire) else _EMPTY_RESULT,
            "tool_call_id": ids.get(call_id, call_id),
        }
    if not isinstance(message, AIMessage):
        return wire if _says(wire) else {**wire, "content": _NO_WORDS}
    wire = {key: value for key, value in wire.items() if key != "name"}  # not every provider's
    ours = model_of(message) == model
    extras = message.additional_kwargs.get(PROVIDER_FIELDS, {}) if ours else {}
    if calls := wire.get("tool_calls"):
        if not ours:
            ids |= {call["id"]: _neutral(call["id"]) for call in calls}
        more = extras.get("tool_calls", {})
        calls = [
            {
                **call,
                "function": _offered(call["function"]),
                "id": ids.get(call["id"], call["id"]),
                **more.get(call["id"], {}),
            }
            for call in calls
        ]
        wire = {**wire, "tool_calls": calls}
    # Only within a turn: DeepSeek refuses or ignores the reasoning of turns that are over.
    return {**wire, **extras.get("message", {})} if in_turn else wire


def _offered(function: Message) -> Message:
    """Return what a call calls under the name that the tool is offered by."""
    return {**function, "name": offered_name(function["name"] or "")}


def model_of(message: AIMessage) -> str | None:
    """Return the name under which the model of an answer was asked."""
    route = message.response_metadata.get("route")
    return route.get("model") if isinstance(route, dict) else None


def _neutral(call_id: str) -> str:
    """Return an id that every provider takes: nine letters or digits, which is Mistral's rule."""
    return blake2b(call_id.encode("utf-8", "replace"), digest_size=16).hexdigest()[:9]


def _in_order(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages in the order that the strictest provider takes."""
    systems = [message for message in messages if message["role"] == "system"]
    if systems:
        yield _merged(systems)
    spoken = [m for m in messages if m["role"] != "system" and (_says(m) or "tool_calls" in m)]
    spoken = list(_without_stray_results(spoken))
    if spoken and spoken[0]["role"] == "assistant":
        yield {"role": "user", "content": _START}
    group: list[Message] = []
    for message in spoken:
        before = group[-1]["role"] if group else None
        if before == message["role"] != "tool" and "tool_calls" not in group[-1]:
            group.append(message)
            continue
        if group:
            yield _merged(group)
        if before == "tool" and message["role"] == "user":
            yield {"role": "assistant", "content": _BROKEN_OFF}
        group = [message]
    if group:
        yield _merged(group)


def _without_stray_results(messages: Sequence[Message]) -> Iterator[Message]:
    """Leave out results that do not stand right behind their call, which is answered already."""
    due: set[str] = set()
    for message in messages:
        if message["role"] != "tool":
            due = {call["id"] for call in message.get("tool_calls") or ()}
        elif message["tool_call_id"] in due:
            due.remove(message["tool_call_id"])
        else:
            continue
        yield message


def _says(message: Message) -> bool:
    content = message["content"]
    return bool(content.strip() if isinstance(content, str) else content)


def _merged(messages: Sequence[Message]) -> Message:
    """Return messages of one role as one; its last one says what it calls."""
    if len(messages) == 1:
        return messages[0]
    contents = [message["content"] for message in messages if message["content"]]
    if all(isinstance(content, str) for content in contents):
        return {**messages[-1], "content": "\n\n".join(contents) or None}
    blocks = [block for content in contents for block in _blocks(content)]
    return {**messages[-1], "content": blocks}


def _blocks(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
