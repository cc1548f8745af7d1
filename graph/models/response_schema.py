"""The shape that a caller wants an answer to have: a JSON Schema, checked once, and its answers.

Callers write the schema and models the answers, so both are bounded. Nothing is fetched, a pattern
may try only so often, and references may not multiply what there is to check.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Never
from urllib.parse import unquote

from everturn.graph.errors import InvalidSchema
from everturn.tools.kit.values import flaw_in

MAX_BYTES = 32_768
"""Of a schema, as JSON. It is kept with each checkpoint of a turn."""
MAX_DEPTH = 32
"""Levels of a schema, and of an answer."""
MAX_STEPS = 5000
"""Parts of a schema, one counted again wherever it is referred to."""
MAX_ANSWER = 131_072
"""Characters of an answer."""

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_MAX_SAID = 300
_MAX_WORK, _MAX_NAMING = 2_000_000, 10_000
"""Values of an answer, times parts of its schema: a quarter of a second to check the first, a tenth
to say where the second do not fit."""
_MAX_TRIES, _MAX_PATTERN = 10_000, 2**20
"""Of one pattern: steps back while it is looked for, and bytes."""
_VALUES = frozenset({"enum", "const", "default", "examples"})
"""What stands there is data, and no schema."""
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""What stands there are schemas by names of the caller's, such as `default`, which are no words."""
_OTHER_REFERENCES = ("$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor")
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL | re.IGNORECASE)


class ResponseSchema:
    """A schema that is one."""

    def __init__(self, written: dict[str, Any]) -> None:
        """Check and compile it.

        Raises:
            InvalidSchema: it is no JSON Schema, or takes too long to check answers by.
        """
        # 40 ms and 5 MB that only a turn with a schema should pay for.
        from jsonschema_rs import FancyRegexOptions, ValidationError, validator_for

        self.written = written
        self._size = _Size(written)
        patterns = FancyRegexOptions(backtrack_limit=_MAX_TRIES, size_limit=_MAX_PATTERN)
        try:
            self._validator = validator_for(
                written, validate_formats=True, pattern_options=patterns, retriever=_never
            )
        except ValidationError as error:
            raise InvalidSchema(f"response_schema: {_named(error)}.") from None
        except ValueError as error:
            raise InvalidSchema(f"response_schema: {str(error)[:_MAX_SAID]}.") from None

    def flaw(self, value: Any) -> str | None:
        """Say where a value does not fit, and why; `None` where it fits."""
        if flaw := flaw_in(value, MAX_DEPTH):
            return flaw
        work = self._size.steps * _count(value)
        if work > _MAX_WORK:
            return "it has too many values to be checked by this schema"
        if self._validator.is_valid(value):
            return None
        if self._size.recursive or work > _MAX_NAMING:
            return "it does not fit the schema"  # to find the place could take minutes
        return next((_named(error) for error in self._validator.iter_errors(value)), None)

    def read(self, text: str) -> tuple[Any, str | None]:
        """Return what an answer says, and what is wrong with it; a code fence around it is none."""
        if len(text) > MAX_ANSWER:
            return None, f"it is longer than {MAX_ANSWER} characters"
        fenced = _FENCED.fullmatch(text)
        try:
            value = json.loads(fenced[1] if fenced else text, parse_int=_to_int)
        except (ValueError, RecursionError):
            return None, "it is not JSON and nothing else"
        return value, self.flaw(value)


def schema_of(written: Mapping[str, Any]) -> ResponseSchema:
    """Return the schema that a caller wrote; the same object for the same words.

    Raises:
        InvalidSchema: see `ResponseSchema`.
    """
    try:
        text = json.dumps(written, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidSchema("response_schema: it is no JSON.") from None
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
        raise InvalidSchema(f"response_schema: it has {size} bytes; at most {MAX_BYTES} are taken.")
    return _compiled(text)


@lru_cache(maxsize=64)
def _compiled(text: str) -> ResponseSchema:
    written = json.loads(text)
    if flaw := flaw_in(written, MAX_DEPTH):
        raise InvalidSchema(f"response_schema: {flaw}.")
    return ResponseSchema(written)


class _Size:
    """Counts what there is to check, and follows references.

    Raises:
        InvalidSchema: there is too much, or a reference leads out of the schema.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.recursive = False
        self._root = root
        self._known: dict[str, int] = {}
        self._under_way: set[str] = set()
        try:
            self.steps = self._of(root)
        except RecursionError:
            self.steps = MAX_STEPS + 1
        if self.steps > MAX_STEPS:
            raise InvalidSchema(
                f"response_schema: its references make more than {MAX_STEPS} parts to check."
            )

    def _of(self, part: Any) -> int:
        if isinstance(part, list):
            return sum(map(self._of, part))
        if not isinstance(part, dict):
            return 0
        for name in _OTHER_REFERENCES:
            if isinstance(part.get(name), str):
                raise InvalidSchema(f"response_schema: {name} is not taken; refer by $ref.")
        steps = 1 + sum(self._of_word(*each) for each in part.items() if each[0] not in _VALUES)
        if isinstance(reference := part.get("$ref"), str):
            steps += self._of_reference(reference)
        return steps

    def _of_word(self, word: str, said: Any) -> int:
        named = word in _NAMED and isinstance(said, dict)
        return 1 + sum(map(self._of, said.values())) if named else self._of(said)

    def _of_reference(self, reference: str) -> int:
        if reference in self._under_way:
            self.recursive = True
            return 1
        if reference not in self._known:
            self._under_way.add(reference)
            self._known[reference] = self._of(self._found(reference))
            self._under_way.remove(reference)
        return self._known[reference]

    def _found(self, reference: str) -> Any:
        if reference != "#" and not reference.startswith("#/"):
            raise InvalidSchema(f"response_schema: $ref {reference[:80]!r} leads out of it.")
        found: Any = self._root
        for name in reference.split("/")[1:]:
            key = unquote(name).replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        if not isinstance(found, dict | bool):
            raise InvalidSchema(f"response_schema: $ref {reference[:80]!r} finds no schema.")
        return found


def _count(value: Any) -> int:
    """Count the values in an answer, itself included."""
    inside = value.values() if isinstance(value, dict) else value
    return 1 + (sum(map(_count, inside)) if isinstance(value, dict | list) else 0)


def _never(uri: str) -> Never:
    raise ValueError(f"{uri} is not fetched")


def _named(error: "ValidationError") -> str:
    place = ".".join(map(str, error.instance_path))
    said = error.message[:_MAX_SAID]
    return f"{place}: {said}" if place else said


def _to_int(digits: str) -> int:
    return int(digits[:40])  # Python refuses to read some thousands; any 40 are far too large
