"""Filling a tool's parameters from a text, as its JSON schema names and types them.

Nothing is made up: a parameter for which the text has no value is left out, and the tool's own
validation then says that it is missing.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_NUMBER = r"(?a)(?<![\w.])-?\d+(?:\.\d+)?(?!\w)"
_QUOTED = r"[\"“”]([^\"“”]+)[\"“”]|(?<!\w)['‘]([^'‘’]+)['’](?!\w)|[「『]([^」』]+)[」』]"
_SYNONYMS = {
    "celsius": r"celsius|centigrade|°\s?c|섭씨",
    "metric": r"metric|celsius|centigrade|°\s?c|섭씨",
    "fahrenheit": r"fahrenheit|°\s?f|화씨",
    "imperial": r"imperial|fahrenheit|°\s?f|화씨",
}
_NESTED = 4
"""How deep references and alternatives are followed; a schema may refer to itself."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a schema says of one parameter."""

    name: str
    types: frozenset[str]
    """JSON types, those of all alternatives together; empty when anything goes."""
    choices: tuple[str, ...]
    required: bool
    most: int | None = None
    """Entries of a list, where its schema limits them."""

    @property
    def is_text(self) -> bool:
        """Takes any text."""
        return (not self.types or "string" in self.types) and not self.choices


def parameters(schema: Schema) -> list[Parameter]:
    """Return the parameters of an object schema, in its order."""
    definitions = schema.get("$defs", {})
    required = schema.get("required", ())
    found = []
    for name, one in schema.get("properties", {}).items():
        forms = list(_alternatives(one, definitions, _NESTED))
        types = [form.get("type", ()) for form in forms]
        choices = [form.get("enum") or [form.get("const")] for form in forms]
        found.append(
            Parameter(
                name,
                frozenset(t for kind in types for t in ([kind] if isinstance(kind, str) else kind)),
                tuple(choice for some in choices for choice in some if isinstance(choice, str)),
                name in required,
                next((n for form in forms if isinstance(n := form.get("maxItems"), int)), None),
            )
        )
    return found


def subject_of(known: Iterable[Parameter]) -> Parameter | None:
    """Return the parameter that says what a call is about: the first required text, else a text."""
    texts = [parameter for parameter in known if parameter.is_text]
    return next((text for text in texts if text.required), texts[0] if texts else None)


def fill(known: Iterable[Parameter], text: str, *, subject: str | None = None) -> dict[str, Any]:
    """Return the arguments that a text has for some parameters.

    `name=value` and `name: value` are taken at their word, and `subject` goes to `subject_of` the
    parameters. A choice that the text mentions is taken, and a number beside the parameter's own
    words ("3 results"). What is still required takes the numbers and the quotations that are left,
    in their order; a text parameter takes all of a text without quotations.
    """
    known = list(known)
    about = subject_of(known) if subject is not None else None
    values: dict[str, Any] = {}
    rest = text
    for parameter in known:
        name = re.escape(parameter.name).replace("_", "[_ ]")
        named = re.search(
            rf"(?i)(?<!\w){name}\s*[=:]\s*([^,;\n]+?)\s*(?=[,;\n]|$|\s(?:and\s)?\w+\s*[=:])", rest
        )
        value = typed(named[1].rstrip("?.!"), parameter) if named else None
        if named and value is not None:
            rest = rest.replace(named[0], " ", 1)
        elif parameter is about:
            value = subject
        else:
            value = _mentioned(parameter, text)
        values[parameter.name] = value

    numbers = iter(re.findall(_NUMBER, rest))
    quotations = iter("".join(groups) for groups in re.findall(_QUOTED, rest))
    for parameter in known:
        if parameter.required and values[parameter.name] is None:
            values[parameter.name] = _next(parameter, rest, numbers, quotations)
    return {name: value for name, value in values.items() if value is not None}


def bind(known: Iterable[Parameter], written: str) -> dict[str, Any]:
    """Return the arguments of a call written out: `3, "a"` by position, `a=3, b=[1]` by name."""
    by_name = {parameter.name: parameter for parameter in known}
    positions = iter(by_name)
    parts = _parts(written)
    if len(by_name) == 1 and not re.match(rf"\s*{next(iter(by_name))}\s*=", written):
        parts = [written]  # one parameter takes it all, commas too
    arguments: dict[str, Any] = {}
    for part in filter(str.strip, parts):
        name, sign, value = part.partition("=")
        if not sign or name.strip() not in by_name:
            name, value = next(positions, ""), part
        if parameter := by_name.get(name.strip()):
            found = typed(value.strip(), parameter)
            # A value of the wrong type is passed on: the tool's validation explains it best.
            arguments[parameter.name] = value.strip() if found is None else found
    return arguments


def typed(written: str, parameter: Parameter) -> Any:
    """Read a value as the parameter's type; `None` when it cannot be."""
    if parameter.choices:
        return next((one for one in parameter.choices if one.lower() == written.lower()), None)
    value = _json(written)
    if _fits(value, parameter.types):
        return value
    if isinstance(value, float) and value.is_integer() and "integer" in parameter.types:
        return int(value)
    return (re.sub(r"^(['\"])(.*)\1$", r"\2", written) or None) if parameter.is_text else None


def _mentioned(parameter: Parameter, text: str) -> Any:
    for choice in parameter.choices:
        pattern = _SYNONYMS.get(choice.lower(), re.escape(choice))
        # Korean particles follow a word without a space.
        if re.search(rf"(?i)(?<![a-z\d])(?:{pattern})(?![a-z\d])", text):
            return choice
    if parameter.types & {"integer", "number"}:
        for word in re.findall(r"[a-z]{3,}", parameter.name.lower()):
            number, one = r"(\d+(?:\.\d+)?)", word.removesuffix("s")
            if match := re.search(rf"(?i)\b{number} {one}s?\b|\b{word} {number}\b", text):
                return typed(match[1] or match[2], parameter)
    return None


def _next(
    parameter: Parameter, text: str, numbers: Iterator[str], quotations: Iterator[str]
) -> Any:
    if parameter.is_text:
        return next(quotations, text.strip() or None)
    if parameter.types & {"integer", "number"}:
        return next((value for n in numbers if (value := typed(n, parameter)) is not None), None)
    return None


def _alternatives(schema: Schema, definitions: Schema, depth: int) -> Iterator[Schema]:
    """Walk a schema with everything it refers to or may be instead."""
    yield schema
    if depth:
        referred = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
        several = (schema.get(key, ()) for key in ("anyOf", "oneOf", "allOf"))
        for one in ([referred] if referred else []) + [form for some in several for form in some]:
            yield from _alternatives(one, definitions, depth - 1)


def _parts(written: str) -> list[str]:
    """Split at the commas that stand in no brackets and no quotation marks."""
    return re.findall(r"(?:\"[^\"]*\"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|[^,])+", written)


def _json(written: str) -> Any:
    try:
        # Python reads NaN and 1e999, but JSON cannot carry them.
        return json.loads(
            {"True": "true", "False": "false"}.get(written, written),
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError):
        return written


def _finite(written: str) -> float:
    value = float(written)
    if not math.isfinite(value):
        raise ValueError(f"not a JSON number: {written}")
    return value


def _fits(value: Any, types: frozenset[str]) -> bool:
    match value:
        case bool():
            allowed = {"boolean"}
        case int():
            allowed = {"integer", "number"}
        case float():
            allowed = {"number"}
        case list():
            allowed = {"array"}
        case dict():
            allowed = {"object"}
        case _:
            return False
    return not types or bool(types & allowed)
