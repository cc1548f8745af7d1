"""What providers refuse: each rule reads one request and says what is wrong with it, if anything.

A rule is made with the words of the provider that has it. Which provider has which rule, and where
that is known from, stands in `tests/provider/profiles`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.provider.script import Request

LIMITS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Refusal:
    """What is wrong with a request; how it is written is the profile's matter."""

    message: str
    param: str | None = None
    code: str | int | None = None
    status: int = 400
    loc: tuple[str | int, ...] = ()
    """The place, as FastAPI and Mistral name it."""
    input: Any = None
    """What stands there."""


Rule = Callable[[Request], Refusal | None]


# Parameters


def knows_only(names: Collection[str], say: str, *, code: str | None = None) -> Rule:
    """Refuse a parameter that the provider does not have; `{name}` is its name."""

    def rule(request: Request) -> Refusal | None:
        for name in request.body.keys() - set(names):
            return Refusal(say.format(name=name), name, code, loc=("body", name))
        return None

    return rule


def refuses(name: str, say: str, *, code: str | None = None, besides: object = None) -> Rule:
    """Refuse one parameter, whatever its value, or every value `besides` one."""

    def rule(request: Request) -> Refusal | None:
        value = request.body.get(name)
        if value is None or (besides is not None and value == besides):
            return None
        return Refusal(say.format(value=value), name, code, loc=("body", name), input=value)

    return rule


def one_limit(say: str) -> Rule:
    """Refuse both names of the token limit at once."""

    def rule(request: Request) -> Refusal | None:
        both = all(name in request.body for name in LIMITS)
        return Refusal(say, LIMITS[0]) if both else None

    return rule


def usage_only_in_streams(say: str) -> Rule:
    """Refuse `stream_options` for an answer that is not streamed."""

    def rule(request: Request) -> Refusal | None:
        lone = "stream_options" in request.body and not request.streamed
        return Refusal(say, "stream_options") if lone else None

    return rule


# Answers that fit a schema


def no_answer_schema(say: str, *, with_tools: bool = False) -> Rule:
    """Refuse a schema for the answer, always or beside tools."""

    def rule(request: Request) -> Refusal | None:
        asked = (request.body.get("response_format") or {}).get("type") == "json_schema"
        refused = asked and (not with_tools or request.body.get("tools"))
        return Refusal(say) if refused else None

    return rule


def answer_schemas_are_closed(say_root: str, say_open: str) -> Rule:
    """Refuse a root that is no object, and beside `strict` one that takes other properties."""

    def rule(request: Request) -> Refusal | None:
        named = (request.body.get("response_format") or {}).get("json_schema")
        if named is None:
            return None
        schema = named["schema"]
        if schema.get("type") != "object":
            return Refusal(say_root.format(name=named["name"]), "response_format")
        closed = schema.get("additionalProperties") is False
        whole = set(schema.get("required", ())) == set(schema.get("properties", ()))
        if named.get("strict") and not (closed and whole):
            return Refusal(say_open.format(name=named["name"]), "response_format")
        return None

    return rule


# Tools


def no_empty_tools(say: str, *, code: str | None = None) -> Rule:
    """Refuse an empty list of tools."""

    def rule(request: Request) -> Refusal | None:
        empty = request.body.get("tools", True) in ([], None)
        return Refusal(say, "tools", code, loc=("body", "tools"), input=[]) if empty else None

    return rule


def choice_needs_tools(say: str) -> Rule:
    """Refuse a choice among tools where there are none; `{name}` is the parameter."""

    def rule(request: Request) -> Refusal | None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in request.body and not request.body.get("tools"):
                return Refusal(say.format(name=name), name)
        return None

    return rule


def tool_names(pattern: str, say: str) -> Rule:
    """Refuse names of tools that are not of this form, offered or called."""

    def rule(request: Request) -> Refusal | None:
        for number, name in enumerate(request.tools):
            if not re.fullmatch(pattern, name):
                place = f"tools[{number}].function.name"
                return Refusal(say.format(place=place, name=name), place, "invalid_value")
        for number, message in enumerate(request.messages):
            for call in message.get("tool_calls") or ():
                if not re.fullmatch(pattern, call["function"]["name"]):
                    place = f"messages[{number}].tool_calls[0].function.name"
                    return Refusal(say.format(place=place, name=call["function"]["name"]), place)
        return None

    return rule


def schemas_are_objects(say: str, *needs: str) -> Rule:
    """Refuse a tool whose schema is no object, or lacks one of these keys."""

    def rule(request: Request) -> Refusal | None:
        for number, (name, function) in enumerate(request.tools.items()):
            schema = function.get("parameters")
            if schema is None and "type" not in needs:
                continue
            schema = schema if isinstance(schema, dict) else {}
            if any(key not in schema for key in needs) or schema.get("type", "object") != "object":
                place = f"tools[{number}].function.parameters"
                code = "invalid_function_parameters"
                return Refusal(say.format(name=name, number=number), place, code)
        return None

    return rule


def choice_is_a_word(say: str) -> Rule:
    """Refuse `tool_choice` as an object that names a tool."""

    def rule(request: Request) -> Refusal | None:
        named = isinstance(request.body.get("tool_choice"), dict)
        return Refusal(say, "tool_choice") if named else None

    return rule


# Messages


def message_fields(by_role: Mapping[str, Collection[str]], say: str) -> Rule:
    """Refuse a message with a field that its role does not have."""

    def rule(request: Request) -> Refusal | None:
        for number, message in enumerate(request.messages):
            role = message["role"]
            for name in message.keys() - set(by_role[role]):
                return Refusal(
                    say.format(number=number, role=role, name=name),
                    f"messages[{number}].{name}",
                    "unknown_parameter",
                    status=400,
                    loc=("body", "messages", number, role, name),
                    input=message[name],
                )
        return None

    return rule


def system_first(say: str) -> Rule:
    """Refuse a system message anywhere but at the start."""

    def rule(request: Request) -> Refusal | None:
        late = any(message["role"] in {"system", "developer"} for message in request.messages[1:])
        return Refusal(say) if late else None

    return rule


def roles_alternate(say: str) -> Rule:
    """Refuse two messages of one side, one after the other; results of tools are left out."""

    def rule(request: Request) -> Refusal | None:
        spoken = [m for m in request.messages if m["role"] not in {"system", "tool"}]
        expected = "user"
        for message in spoken:
            if message.get("tool_calls"):
                expected = "assistant"  # the results, and then its answer
                continue
            if message["role"] != expected:
                return Refusal(say)
            expected = "assistant" if expected == "user" else "user"
        return None

    return rule


def no_user_after_tool(say: str) -> Rule:
    """Refuse a user's message right behind a tool's result."""

    def rule(request: Request) -> Refusal | None:
        pairs = pairwise(message["role"] for message in request.messages)
        return Refusal(say, code="3230") if ("tool", "user") in pairs else None

    return rule


def ends_with(roles: Collection[str], say: str) -> Rule:
    """Refuse a conversation whose last word is the model's own."""

    def rule(request: Request) -> Refusal | None:
        last = request.messages[-1]["role"] if request.messages else "none"
        return None if last in roles else Refusal(say.format(role=last))

    return rule


def calls_are_answered(say: str, *, stray: str) -> Rule:
    """Refuse a call without its result right behind it, and a result without its call."""

    def rule(request: Request) -> Refusal | None:
        due: list[str] = []
        end: dict[str, Any] = {"role": "end"}
        for number, message in enumerate([*request.messages, end]):
            if message["role"] == "tool":
                if message.get("tool_call_id") not in due:
                    return Refusal(stray, f"messages.[{number}].role")
                due.remove(message["tool_call_id"])
                continue
            if due:
                return Refusal(say.format(ids=", ".join(due), number=number - 1), "messages")
            due = [call["id"] for call in message.get("tool_calls") or ()]
        return None

    return rule


def call_ids(pattern: str, say: str, *, code: str | None = None) -> Rule:
    """Refuse ids of calls that are not of this form."""

    def rule(request: Request) -> Refusal | None:
        for number, message in enumerate(request.messages):
            for call in message.get("tool_calls") or ():
                if not re.fullmatch(pattern, call["id"]):
                    place = f"messages[{number}].tool_calls[0].id"
                    return Refusal(say.format(id=call["id"], place=place), place, code)
        return None

    return rule


def no_empty_content(say: str, *, code: str | None = None) -> Rule:
    """Refuse a message that says nothing and calls nothing."""

    def rule(request: Request) -> Refusal | None:
        for number, message in enumerate(request.messages):
            content = message.get("content")
            blank = not content or (isinstance(content, str) and not content.strip())
            empty_text = isinstance(content, list) and any(
                block.get("type") == "text" and not block.get("text") for block in content
            )
            if empty_text or (blank and not message.get("tool_calls")):
                role = message["role"]
                return Refusal(say.format(number=number, role=role), "messages", code)
        return None

    return rule


def comes_back(what: Callable[[Request, dict[str, Any]], str | None], say: str) -> Rule:
    """Refuse calls of the current turn without what the provider gave along with them.

    `what` reads a message of the assistant, and names what it lacks.
    """

    def rule(request: Request) -> Refusal | None:
        users = [n for n, m in enumerate(request.messages) if m["role"] == "user"]
        for number in range(users[-1] if users else 0, len(request.messages)):
            message = request.messages[number]
            if message.get("tool_calls") and (lacking := what(request, message)):
                return Refusal(say.format(number=number, lacking=lacking))
        return None

    return rule
