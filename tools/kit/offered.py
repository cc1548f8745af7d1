"""Tools in the form in which every provider takes them: their names, and what they take.

One name or schema that a provider does not like, and it refuses the whole request, for every tool.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from everturn.tools.kit.values import plain

# OpenAI: letters, digits, "_" and "-", 64 at most
# (https://platform.openai.com/docs/api-reference/chat/create, `tools`). Gemini: a letter or "_"
# first (https://ai.google.dev/api/caching#FunctionDeclaration).
_MAX_NAME = 64
_NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_-]{{0,{_MAX_NAME - 1}}}")
_DIGEST_BYTES = 4

# Keywords of JSON Schema whose values are schemas by name, a schema, or a list of schemas.
_BY_NAME = ("properties", "patternProperties", "dependentSchemas")
_ONE = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_LEFT_OUT = {"$schema", "$id", "$comment", "$defs", "definitions"}
_MAX_REFERENCES = 200
"""In one schema: each is replaced by all that it names, and goes into every prompt."""


def offered_name(name: str) -> str:
    """Return the name under which a tool is offered: its own where every provider takes it.

    Otherwise it is what can be kept of it, and a hash of it, so that two never become one.
    """
    if _NAME.fullmatch(name):
        return name
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
    kept = kept if _NAME.match(kept) else f"tool_{kept}".rstrip("_")
    return f"{kept[: _MAX_NAME - len(digest) - 1]}_{digest}"


def offered_schema(tool: BaseTool) -> dict[str, Any]:
    """Return what a model is shown of a tool: OpenAI's `{"type": "function", "function": …}`.

    Raises:
        Exception: of LangChain's or pydantic's, where the tool's arguments have no JSON Schema.
    """
    if isinstance(tool.args_schema, dict):  # read here: LangChain stops at a reference it misses
        function = {"name": tool.name, "description": tool.description}
        schema: Any = tool.args_schema
    else:
        function = convert_to_openai_tool(tool)["function"]
        schema = function.get("parameters", {})
    shown = {
        **function,
        "name": offered_name(tool.name),
        "description": plain(function.get("description") or ""),
        "parameters": offered_parameters(schema),
    }
    return {"type": "function", "function": shown}


def offered_parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema of arguments without what some provider refuses.

    OpenAI refuses one that is no object, has no `properties`, has `anyOf` or its like at the top,
    or a list without `items`; Gemini one with references. So references are replaced by what they
    name, and by nothing where they lead in a circle or nowhere.
    """
    found = _Resolver(schema).resolve(schema)
    if found.get("type") != "object" or not isinstance(found.get("properties"), dict):
        found = {**found, "type": "object", "properties": _properties(found)}
    kept = {name: value for name, value in found.items() if name not in {*_SEVERAL, "not", "enum"}}
    if isinstance(required := kept.get("required"), list):
        kept["required"] = [name for name in required if name in kept["properties"]]
    elif required is not None:
        del kept["required"]
    return plain(kept)  # type: ignore[no-any-return]  # of a dict it returns one


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of an object, also those of its alternatives."""
    found = schema.get("properties")
    properties: dict[str, Any] = dict(found) if isinstance(found, dict) else {}
    for keyword in ("allOf", "anyOf", "oneOf"):
        for each in schema.get(keyword) or ():
            properties = {**_properties(each), **properties}
    return properties


class _Resolver:
    """Replaces the references of one schema by what they name."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MAX_REFERENCES

    def resolve(self, schema: Any, inside: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return a schema without references; `inside` are those that led here."""
        if not isinstance(schema, Mapping):  # `true` takes anything; `false` nothing: few know it
            return {}
        found = {name: value for name, value in schema.items() if name not in _LEFT_OUT}
        reference = found.pop("$ref", None)
        if isinstance(reference, str):
            found = {**self._named(reference, inside), **found}
        if found.get("type") == "array":
            found.setdefault("items", {})
        return {name: self._value(name, value, inside) for name, value in found.items()}

    def _value(self, keyword: str, value: Any, inside: tuple[str, ...]) -> Any:
        if keyword in _BY_NAME and isinstance(value, Mapping):
            return {name: self.resolve(each, inside) for name, each in value.items()}
        if keyword in _SEVERAL and isinstance(value, list):
            return [self.resolve(each, inside) for each in value]
        if keyword in _ONE and not (keyword == "additionalProperties" and isinstance(value, bool)):
            return self.resolve(value, inside)
        return value

    def _named(self, reference: str, inside: tuple[str, ...]) -> dict[str, Any]:
        if reference in inside or self._left == 0:
            return {}
        self._left -= 1
        return self.resolve(_at(reference, self._root), (*inside, reference))


def _at(reference: str, root: Any) -> Any:
    """Return what a reference within a schema names; `None` where there is nothing."""
    place, *steps = reference.split("/")
    found = root if place == "#" else None
    for step in steps:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
