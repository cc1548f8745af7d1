"""Putting an answer into words: what tools found, what cannot be done, what can be asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from everturn.graph.offline.calls import MAX_CALLS, PLANNING, Plan, Tool, kind_of, serving
from everturn.graph.offline.wording import Wording

_MARKS = {"success", "sample", "note", "source", "units", "place", "next_start"}
"""Fields about a result rather than of it; a mark as a sample is said in words."""
_MAX_ITEMS = 5
_MAX_RESULT = 1500
"""Characters of one result that are repeated; the whole of it is in the conversation anyway."""
_NESTED = 3
_EXACT = 2**53
"""Up to here every whole float is the number it shows (IEEE 754)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came back from one call."""

    tool: str
    arguments: Mapping[str, Any]
    content: str
    failed: bool


def of_results(results: Sequence[Result], words: Wording) -> list[str]:
    """Say what the tools of a turn found, failures included, and which of it is made-up sample."""
    said = [_of_result(result, _read(result.content), words) for result in results]
    noted = [result for result in results if kind_of(result.tool) != "recall"]  # that is for models
    notes = [_note(_read(result.content), words) for result in noted]
    return [*said, *dict.fromkeys(note for note in notes if note)]


def of_unserved(plan: Plan, tools: Sequence[Tool], words: Wording) -> list[str]:
    """Say what was asked for and cannot be done, and what it would take."""
    said = []
    for request in plan.unserved:
        if serving(request.kind, tools) is None:
            if request.kind in words.no_tool:
                said.append(words.no_tool[request.kind].format(request.subject))
        elif not request.subject:
            said.append(words.which_place)
        else:
            said.append(words.too_many.format(MAX_CALLS))
    if plan.cut_after:
        said.append(words.too_many.format(plan.cut_after))
    for tool, lacking in plan.lacking.items():
        usage = words.comma.join(f"{name}=…" for name in lacking)
        said.append(words.lacking.format(tool, words.comma.join(lacking), usage))
    return list(dict.fromkeys(said))


def introduction(tools: Sequence[Tool], words: Wording) -> str:
    """Say who answers, what can be asked with these tools, and how to get a real model."""
    served = {tool.kind for tool in tools}
    abilities = [text for kind, text in words.abilities.items() if kind in served]
    if any(t.plans for t in tools):
        abilities.append(words.plans)
    others = [t for t in tools if t.kind is None and not t.plans]
    abilities += [words.calls_tools.format(t.name, t.name) for t in others]
    return words.general.format(words.comma.join([*abilities, words.recalls]))


def _of_result(result: Result, value: Any, words: Wording) -> str:
    about = " ".join(str(value) for value in result.arguments.values())
    if result.failed or (isinstance(value, dict) and value.get("success") is False):
        error = value.get("error") if isinstance(value, dict) else None
        return words.failed.format(f"{result.tool}({about})", _short(error or value, words))
    fields = value if isinstance(value, dict) else {}
    said = ""
    match kind_of(result.tool), fields:
        case _, {"steps": [*steps]} if result.tool == PLANNING:
            said = "\n".join(_planned(steps, words))
        case "calculation", {"result": outcome}:
            expression = fields.get("expression", about)
            said = words.equals.format(expression, _short(outcome, words))
        case "weather", {"location": place}:
            rest = {name: field for name, field in fields.items() if name != "location"}
            said = words.weather.format(place, _short(rest, words))
        case (("remember" | "recall" | "forget"), _):
            said = _of_memory(fields, words)
        case "search", {"results": [*hits]}:
            query = fields.get("query", about)
            listed = "\n".join(_listed(hits, words))
            said = (words.found if hits else words.nothing_found).format(query, listed)
    return said or words.says.format(result.tool, _short(value, words))


def _of_memory(fields: Mapping[str, Any], words: Wording) -> str:
    match fields:
        case {"remembered": text}:
            return words.remembered.format(text)
        case {"forgotten": text}:
            return words.forgotten.format(text)
        case {"memories": [*known]}:
            lines = "\n".join(f"- {each.get('text')}" for each in known if isinstance(each, dict))
            return words.known.format(lines) if lines else words.knows_nothing
    return ""


def _planned(steps: Sequence[Any], words: Wording) -> Iterator[str]:
    """Say what came of each step of a plan, and who made it."""
    yield words.planned.format(len(steps))
    for step in steps:
        if isinstance(step, dict):
            said = str(step.get("result") or words.no_result)
            if step.get("status") != "done":
                said = words.failed.format(step.get("text"), said)
            yield f"{step.get('id')}. {said}"


def _note(value: Any, words: Wording) -> str:
    if not isinstance(value, dict):
        return ""
    return words.sample if value.get("sample") is True else str(value.get("note") or "")


def _read(content: str) -> Any:
    """Return a tool's result as data where it is JSON, as most are, and as text where not."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.strip()


def _short(value: Any, words: Wording) -> str:
    text = _readable(value, words, _NESTED) or words.no_result
    return text if len(text) <= _MAX_RESULT else text[:_MAX_RESULT] + "…"


def _readable(value: Any, words: Wording, depth: int) -> str:
    """Write JSON data as people read it: `temperature 21.5 °C, humidity 40 %`."""
    match value:
        case dict() if depth:
            text = ", ".join(_fields(value, words, depth - 1))
        case list() if depth:
            shown = [_readable(one, words, depth - 1) for one in value[:_MAX_ITEMS]]
            more = [words.more.format(len(value) - len(shown))] if len(value) > len(shown) else []
            text = "; ".join([*shown, *more])
        case float() if value.is_integer() and abs(value) <= _EXACT:
            text = str(int(value))
        case str() | None:
            text = value or ""
        case _:
            text = json.dumps(value, ensure_ascii=False)
    return text


def _fields(fields: Mapping[str, Any], words: Wording, depth: int) -> Iterator[str]:
    for name, value in fields.items():
        if name in _MARKS or name.endswith("_unit"):
            continue
        unit = fields.get(f"{name}_unit", "")
        plain = name.removesuffix("_percent")
        label = words.labels.get(plain, plain.replace("_", " "))
        text = _readable(value, words, depth) + (
            " %" if plain != name else f" {unit}" if unit else ""
        )
        yield text if isinstance(value, dict) else f"{label} {text}"


def _listed(hits: Sequence[Any], words: Wording) -> Iterator[str]:
    """Number the results of a search, one a line."""
    for rank, hit in enumerate(hits[:_MAX_ITEMS], start=1):
        match hit:
            case {"title": title}:
                text = hit.get("snippet") or hit.get("content") or ""
                address = f" ({hit['url']})" if hit.get("url") else ""
                yield f"{rank}. {title}{f' – {text}' if text else ''}{address}"
            case _:
                yield f"{rank}. {_short(hit, words)}"
    if len(hits) > _MAX_ITEMS:
        yield words.more.format(len(hits) - _MAX_ITEMS)
