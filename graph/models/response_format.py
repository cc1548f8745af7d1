"""A schema on its way to a model: as `response_format` where it takes one, else in words.

Shapes: https://platform.openai.com/docs/guides/structured-outputs and
https://openrouter.ai/docs/features/structured-outputs.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

Body = dict[str, Any]

_NAME = "answer"
_WORDS = (
    "Write your answer as JSON and nothing else, without a code fence. It must fit this JSON "
    "Schema:\n"
)
_NOT_STRICT = {
    # Refused by OpenAI beside `"strict": true`.
    *("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
    *("patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems"),
    *("contains", "minContains", "maxContains", "uniqueItems", "prefixItems", "default"),
    *("minProperties", "maxProperties", "minLength", "maxLength"),
}
REFUSED = re.compile(
    # What providers call it who do not name the parameter: Groq, Gemini, llama.cpp.
    r"response[_ ](?:format|mime|schema)|json[_ ]schema|json mode"
    r"|structured output|grammar constraints"
)
ABILITY = re.compile(
    r"not (?:be )?support|unsupported|not available|unavailable|unknown|unrecognized|unexpected"
    r"|not permitted|not enabled|not allowed|cannot (?:use|be combined)"
)
"""The model takes none at all, and not only not this one."""


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema as `/chat/completions` takes it."""
    strict = {"strict": True} if _is_object(schema) and _is_strict(schema) else {}
    return {"type": "json_schema", "json_schema": {"name": _NAME, "schema": dict(schema), **strict}}


def schema_in(chosen: object) -> Mapping[str, Any] | None:
    """Return the schema of a `response_format`; `None` for another kind of it."""
    named = chosen.get("json_schema") if isinstance(chosen, Mapping) else None
    found = named.get("schema") if isinstance(named, Mapping) else None
    return found if isinstance(found, Mapping) else None


def fitted(body: Body, listed: Collection[str] | None, *, refused: bool) -> Body:
    """Return a request whose `response_format` a model takes.

    Args:
        body: the request, with a schema in its `response_format` or not.
        listed: the parameters that a catalogue lists for the model, if it lists any.
        refused: the model has refused it.
    """
    schema = schema_in(body.get("response_format"))
    if schema is None:
        return body
    if not refused and _is_object(schema) and (listed is None or "structured_outputs" in listed):
        return body
    told = {**body, "messages": _told(body["messages"], schema)}
    del told["response_format"]
    if not refused and _is_object(schema) and listed is not None and "response_format" in listed:
        told["response_format"] = {"type": "json_object"}
    return told


def _told(messages: list[Body], schema: Mapping[str, Any]) -> list[Body]:
    words = _WORDS + json.dumps(schema, ensure_ascii=False)
    first, *rest = messages
    if first["role"] != "system":
        return [{"role": "system", "content": words}, *messages]
    content = first["content"]
    if isinstance(content, str):
        return [{**first, "content": f"{content}\n\n{words}"}, *rest]
    return [{**first, "content": [*content, {"type": "text", "text": words}]}, *rest]


def _is_object(schema: Mapping[str, Any]) -> bool:
    """OpenAI and others take no other root."""
    return schema.get("type") == "object" and "anyOf" not in schema


def _is_strict(part: Any) -> bool:
    """Whether a schema is one of those that OpenAI has a model follow to the letter."""
    if isinstance(part, list):
        return all(map(_is_strict, part))
    if not isinstance(part, Mapping):
        return not isinstance(part, bool)
    if part.keys() & _NOT_STRICT:
        return False
    properties = part.get("properties")
    if properties is not None or part.get("type") == "object":
        closed = part.get("additionalProperties") is False
        if not closed or not isinstance(properties, Mapping):
            return False
        if set(part.get("required", ())) != set(properties):
            return False
    inner = [*(properties or {}).values(), *part.get("$defs", {}).values()]
    inner += [part[name] for name in ("items", "anyOf") if name in part]
    return all(map(_is_strict, inner))
