"""Choosing the tool calls of a turn: what a text asks for, and which bound tool can do it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from everturn.graph.offline.arguments import Parameter, bind, fill, parameters, subject_of
from everturn.graph.offline.intents import MAX_LENGTH, Kind, Request, requests

MAX_CALLS = 16
"""Calls of one turn; what a text asks for beyond them is left out, and the answer says so."""

PLANNING = "make_plan"
"""The tool to which what a text asks for is given as the steps of a plan."""

_SERVES: dict[Kind, set[str]] = {
    "calculation": {
        *("calculator", "calculate", "calculation", "calc", "math", "arithmetic"),
        "mathematician",
    },
    "weather": {"weather", "forecast", "forecaster"},
    "search": {"search", "google", "wikipedia", "researcher"},
    "remember": {"remember"},
    "recall": {"recall"},
    "forget": {"forget"},
}
"""Words of a tool's name -> the requests it serves."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A bound tool: its name, and what it takes."""

    name: str
    parameters: tuple[Parameter, ...]

    @property
    def kind(self) -> Kind | None:
        """The requests it serves, by its name; none where it takes no text to name a subject."""
        return kind_of(self.name) if subject_of(self.parameters) else None

    @property
    def asks_someone(self) -> bool:
        """Takes a task in words: a specialist, who reads them as a person's."""
        subject = subject_of(self.parameters)
        return subject is not None and subject.name == "task"

    @property
    def plans(self) -> bool:
        """Takes a plan: steps in words, to be carried out one by one."""
        return self.name == PLANNING and [one.name for one in self.parameters] == ["steps"]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call, without an id."""

    tool: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class Plan:
    """What to call for a text, and what cannot be called."""

    calls: list[Call] = field(default_factory=list)
    unserved: list[Request] = field(default_factory=list)
    """Asked for, but no bound tool does it, or no place is named, or there are too many."""
    cut_after: int = 0
    """How many requests became steps, where there were more than a plan may have."""
    lacking: dict[str, list[str]] = field(default_factory=dict)
    """Tools that the text names without giving what they require: tool -> parameters."""


def kind_of(tool: str) -> Kind | None:
    """Return what a tool of this name is for, as the words of the name say."""
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", tool).lower()))
    return next((kind for kind, names in _SERVES.items() if words & names), None)


def bound_tools(schemas: Iterable[Mapping[str, Any]]) -> list[Tool]:
    """Read tool schemas in OpenAI's format; what is no function cannot be called from here."""
    functions = [schema["function"] for schema in schemas if "function" in schema]
    return [Tool(one["name"], tuple(parameters(one.get("parameters") or {}))) for one in functions]


def allowed(tool_choice: Any, tools: Sequence[Tool]) -> tuple[Sequence[Tool], bool]:
    """Read `tool_choice`, as OpenAI or LangChain spell it: what may be called, and whether to.

    The flag says that one of these tools must be called.

    Raises:
        ValueError: it names a tool that is not bound, or is no choice at all.
    """
    name = tool_choice
    if isinstance(tool_choice, Mapping):
        name = tool_choice.get("function", tool_choice).get("name", "")
    match name:
        case None | False | "auto":
            return tools, False
        case True | "any" | "required":
            return tools, True
        case "none":
            return (), False
    if chosen := [tool for tool in tools if tool.name == name]:
        return chosen, True
    names = [tool.name for tool in tools]
    raise ValueError(
        f"tool_choice is auto, any, none or one of the bound tools {names}, not {tool_choice!r}"
    )


def serving(kind: Kind, tools: Iterable[Tool]) -> Tool | None:
    """Return the first tool that serves a kind of request; a search answers a question too."""
    kind = "search" if kind == "question" else kind
    return next((tool for tool in tools if tool.kind == kind), None)


def plan(text: str, tools: Sequence[Tool]) -> Plan:
    """Decide freely: call what the text asks for, as far as the tools and the text allow."""
    made = Plan()
    text = text[:MAX_LENGTH]
    if planning := next((tool for tool in tools if tool.plans), None):
        return _planned(planning, text)
    for tool in tools:
        text = _written_out(tool, text, made.calls)
    asked = requests(text)
    if made.calls:  # "what does name(3) say?" asks that tool alone
        asked = [request for request in asked if request.kind != "question"]
    for request in asked:
        server = serving(request.kind, tools)
        subject = request.subject or request.kind == "recall"
        if server is None or not subject or len(made.calls) >= MAX_CALLS:
            made.unserved.append(request)
        else:
            about = request.text if server.asks_someone else request.subject
            call = Call(server.name, fill(server.parameters, request.text, subject=about))
            if call not in made.calls:  # two places in one sentence are one task
                made.calls.append(call)
    called = {call.tool for call in made.calls}
    for tool in tools:
        if tool.name not in called and (wish := _wish_for(tool, text)) is not None:
            arguments = fill(tool.parameters, wish)
            if lacking := _lacking(tool, arguments):
                made.lacking[tool.name] = lacking
            else:
                made.calls.append(Call(tool.name, arguments))
    return made


def _planned(planning: Tool, text: str) -> Plan:
    """Plan what a text asks for, one step for each part of it; none depends on another."""
    made = Plan()
    asked = list(dict.fromkeys(request.text.strip(" ,.") for request in requests(text)))
    most = planning.parameters[0].most or MAX_CALLS
    steps = [
        {"id": str(number), "text": part, "depends_on": []}
        for number, part in enumerate(asked[:most], start=1)
    ]
    if steps:
        made.calls.append(Call(planning.name, {"steps": steps}))
    if len(asked) > most:
        made.cut_after = most
    return made


def forced(text: str, tools: Sequence[Tool]) -> list[Call]:
    """Call one of `tools` whether the text asks for it or not, with values from the text only.

    Preferred is what the text asks for, then a tool that it can satisfy, then the first.
    """
    text = text[:MAX_LENGTH]
    if calls := plan(text, tools).calls:
        return calls
    possible = [(tool, fill(tool.parameters, text)) for tool in tools]
    satisfied = [(tool, found) for tool, found in possible if not _lacking(tool, found)]
    return [Call(tool.name, found) for tool, found in [*satisfied, *possible][:1]]


def _lacking(tool: Tool, arguments: Mapping[str, Any]) -> list[str]:
    return [one.name for one in tool.parameters if one.required and one.name not in arguments]


def _written_out(tool: Tool, text: str, calls: list[Call]) -> str:
    """Take every `name(arguments)` of a tool out of a text."""

    def take(match: re.Match[str]) -> str:
        if len(calls) < MAX_CALLS:
            calls.append(Call(tool.name, bind(tool.parameters, match[1])))
        return " "

    nested = r"((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)"
    return re.sub(rf"(?<!\w){re.escape(tool.name)}\({nested}\)", take, text)


def _wish_for(tool: Tool, text: str) -> str | None:
    """Return the words behind `use <tool>`; `None` where a text does not order its use."""
    name = rf"(?:the )?(?:tool )?[`'\"]?{re.escape(tool.name)}[`'\"]?"
    lead = r"(?:\s+tool)?(?:\s+(?:with|to|for|on|about)\b|\s*:|,)?\s*"
    ordered = rf"(?i)\b(?:use|using|call|run|invoke|try)\s+{name}(?!\w){lead}(.*)"
    if match := re.search(ordered, text, re.DOTALL):
        return match[1].strip(" .!?")
    korean = rf"{name}\s*(?:도구|툴)?(?:를|을|로|으로)?\s*(?:써|사용|호출|실행|이용)"
    if match := re.search(korean, text):
        return text[: match.start()].strip()
    return None
