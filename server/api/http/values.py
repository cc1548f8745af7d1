"""Members of bodies that clients send: bounded, and refused where no database could store them.

The service reads, checks and stores what it is sent between the steps of all other requests, so
nothing has more entries or characters than can be looked at in a moment. How large and how deep a
whole body may be, and what no answer could carry: see `body_values` and `strict_json`.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

T = TypeVar("T")
_flatten = chain.from_iterable

MAX_VALUES = 100_000
"""Of one body: a state with its messages, or the vectors of some dozen documents."""
MAX_KEPT = 10_000
"""Keys and values of what is kept with a thread, a run or an assistant: metadata, a config."""
MAX_WANTED, MAX_WANTED_CHARACTERS = 200, 20_000
"""Keys and values of a filter, and characters of its texts."""
MAX_MANY, MAX_FEW = 1000, 100
"""Entries of a list; see `Many` and `Few`."""
MAX_MESSAGES = 2500
"""Of one input: 10 ms for each thousand to be made objects; a `RemoteGraph` sends all it has."""
MAX_NAME = 1000
"""Characters."""
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def _storable(value: Any) -> Any:
    """Refuse what PostgreSQL does not store, and what is too large to be kept.

    Raises:
        ValueError: saying what is wrong, without the content.
    """
    if isinstance(value, dict) and len(value) > MAX_MANY:
        raise ValueError(f"must not have more than {MAX_MANY} keys")
    count = 0
    for level in _levels(value):
        count += len(level)
        if count > MAX_KEPT:
            raise ValueError(f"must not have more than {MAX_KEPT} keys and values in all")
        if any("\0" in each for each in _texts(level)):
            raise ValueError("must not contain the character U+0000: a database cannot store it")
    return value


def _wanted(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse a filter that would take long to compare with each row."""
    levels = list(_levels(value))
    if sum(map(len, levels)) > MAX_WANTED:
        raise ValueError(f"must not have more than {MAX_WANTED} keys and values in all")
    if sum(len(text) for level in levels for text in _texts(level)) > MAX_WANTED_CHARACTERS:
        raise ValueError(f"must not have more than {MAX_WANTED_CHARACTERS} characters in all")
    return value


def _levels(value: Any) -> Iterator[list[Any]]:
    """Walk through keys and values, level by level."""
    level = [value]
    while level:
        yield level
        lists = [each for each in level if isinstance(each, list)]
        objects = [each for each in level if isinstance(each, dict)]
        level = [*_flatten(lists), *_flatten(objects), *_flatten(each.values() for each in objects)]


def _texts(level: list[Any]) -> Iterator[str]:
    return (each for each in level if isinstance(each, str))


def _few_messages(value: Any) -> Any:
    """Refuse very many messages: each is made an object, given an id and compared."""
    messages = value.get("messages") if isinstance(value, dict) else None
    if isinstance(messages, list) and len(messages) > MAX_MESSAGES:
        raise ValueError(
            f"must not have more than {MAX_MESSAGES} messages at once: update the state of "
            "a thread with the earlier ones first, in parts"
        )
    return value


def _identifier(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not contain control characters or half a character")
    return value


def at_most(most: int) -> BeforeValidator:
    """Refuse a list or an object before its entries are looked at, each of which could be wrong."""

    def check(value: Any) -> Any:
        if isinstance(value, list | tuple | dict) and len(value) > most:
            raise ValueError(f"must not have more than {most} entries")
        return value

    return BeforeValidator(check)


Identifier = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_identifier)]
"""For ids that clients choose."""

Storable = AfterValidator(_storable)
"""For members of bodies that go into the database."""

Name = Annotated[str, Field(max_length=MAX_NAME), Storable]
"""For names, of things or for people."""

Few = Annotated[list[T], Field(max_length=MAX_FEW), at_most(MAX_FEW)]
"""For lists that a run goes through again and again, such as tags."""

Many = Annotated[list[T], Field(max_length=MAX_MANY), at_most(MAX_MANY)]
"""For lists of ids, or of nodes."""

FewMessages = AfterValidator(_few_messages)
"""For members of bodies that go into a graph's state, where they may hold messages."""

JsonObject = Annotated[dict[str, Any], Storable]
"""For objects that go into the database."""

Wanted = Annotated[JsonObject, AfterValidator(_wanted)]
"""For what is looked for in the database: each row is compared with it."""
