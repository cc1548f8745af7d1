"""The keys of `langgraph.json` as one flat table, and what a file has of them."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from everturn.server.projects.config import LangGraphJson
from everturn.server.projects.sections import Key, Section


def table() -> dict[str, Key]:
    """Return every known key, as `http.disable_runs`; `graphs.*.path` is that of any graph."""
    return dict(_keys(LangGraphJson, ""))


def used(config: LangGraphJson) -> dict[str, Key]:
    """Return the known keys that a file says, by their full names, in the order of the table."""
    return dict(_used(config, ""))


def unknown(config: LangGraphJson) -> list[str]:
    """Return the keys of a file that nothing knows, each with the nearest one that is known."""
    return list(_unknown(config, ""))


def unknown_guards(config: LangGraphJson) -> list[str]:
    """Return those of the unknown keys that would guard something, as far as their names say."""
    return [name for name in unknown(config) if _guards(name.split(" ", 1)[0])]


def _guards(name: str) -> bool:
    first, _, rest = name.partition(".")
    if first == "auth" or (first == "http" and rest.startswith("disable_")):
        return True
    return not rest and any(_resembles(first.lower(), guard) for guard in ("auth", "encryption"))


def _resembles(name: str, guard: str) -> bool:
    """Whether a key is a guard's with a slip: `auht`, not `author` or `description`."""
    near = abs(len(name) - len(guard)) <= 1 and get_close_matches(name, [guard], cutoff=0.8)
    return bool(near) or sorted(name) == sorted(guard)


def name_of(field: str, info: FieldInfo) -> str:
    """The name of a key in the file."""
    return info.alias or field


def _keys(section: type[Section], before: str) -> Iterator[tuple[str, Key]]:
    for field, info in section.model_fields.items():
        name = before + name_of(field, info)
        yield name, _key(info)
        inner, many = _section_in(info.annotation)
        if inner is not None:
            yield from _keys(inner, f"{name}.*." if many else f"{name}.")


def _key(info: FieldInfo) -> Key:
    extra = info.json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101 - each field is made by `sections`
    treatment: Any = extra["treatment"]
    return Key(treatment, info.description or "")


def _section_in(annotation: Any) -> tuple[type[Section] | None, bool]:
    """The section that a key holds, and whether it holds several under names of the project's."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    many = getattr(annotation, "__origin__", None) is dict
    for inner in get_args(annotation):
        found, _ = _section_in(inner)
        if found is not None:
            return found, many
    return None, False


def _used(section: BaseModel, before: str) -> Iterator[tuple[str, Key]]:
    for field, info in type(section).model_fields.items():
        if field not in section.model_fields_set:
            continue
        name, key = before + name_of(field, info), _key(info)
        inner = list(_inner(name, getattr(section, field))) if key.treatment == "honoured" else []
        if not inner:
            yield name, key
        for below, value in inner:
            yield from _used(value, f"{below}.")


def _unknown(section: Section, before: str) -> Iterator[str]:
    known = [name_of(field, info) for field, info in type(section).model_fields.items()]
    for key in section.model_extra or {}:
        near = get_close_matches(key, known, n=1)
        yield f"{before}{key}" + (f" (did you mean {before}{near[0]}?)" if near else "")
    for field, info in type(section).model_fields.items():
        for below, value in _inner(before + name_of(field, info), getattr(section, field)):
            yield from _unknown(value, f"{below}.")


def _inner(name: str, value: Any) -> Iterator[tuple[str, Section]]:
    if isinstance(value, Section):
        yield name, value
    elif isinstance(value, Mapping):
        for each, section in value.items():
            if isinstance(section, Section):
                yield f"{name}.{each}", section
