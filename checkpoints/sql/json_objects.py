"""JSON objects in SQL: what contains what, and one merged into another; alike on both databases.

PostgreSQL has operators for it, SQLite gets functions: `install_functions` on every connection.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import BindParameter, ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean, TypeEngine

Object = Mapping[str, Any]

# NUL and surrogates as JSON escapes them; found in more texts than have them, never in fewer.
_SUSPECT = re.compile(r"\\u(?:0000|d[89a-f][0-9a-f]{2})|NaN|Infinity")
_PLAIN = re.compile(r"[A-Za-z0-9 _.:@-]{1,200}")
"""What every encoder of JSON writes as it is."""
_MAX_LOOKED_FOR = 3
_DIGITS_OF_64_BITS = 19
_MAX_FLOAT = 10**308


class Contains(FunctionElement[bool]):
    """Whether the first object contains the second, as PostgreSQL's `@>` understands it."""

    name = "json_contains"
    type: TypeEngine[bool] = Boolean()
    inherit_cache = True


class Merged(FunctionElement[Any]):
    """The first object with the keys of the second: theirs win, whole, `null` included."""

    name = "json_merged"
    inherit_cache = True


class MemberEquals(FunctionElement[bool]):
    """Whether a member of an object is exactly a value."""

    name = "json_member_equals"
    type: TypeEngine[bool] = Boolean()
    inherit_cache = True


def contains(column: ColumnElement[Any], wanted: Object) -> Contains:
    """Match rows whose object contains another."""
    given = literal(storable(wanted), column.type)
    return Contains(column, given, *_looked_for(wanted))


def member_equals(column: ColumnElement[Any], key: str, value: Any) -> MemberEquals:
    """Match rows whose object has this key, with exactly this value."""
    given = literal(storable(value), column.type)
    return MemberEquals(column, literal(key), given, *_looked_for(value))


def _looked_for(wanted: Any) -> list[ColumnElement[str]]:
    """Texts that stand in the JSON of each row that fits, however it was written.

    SQLite finds them in most rows that do not fit without parsing those. PostgreSQL's JSON is
    parsed, and its operators take no more than two sides.
    """
    texts = [each for each in _scalars(wanted) if isinstance(each, str) and _PLAIN.fullmatch(each)]
    return [literal(f'"{each}"') for each in sorted(texts, key=len)[-_MAX_LOOKED_FOR:]]


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _scalars(each)
    else:
        yield value


def merged(column: ColumnElement[Any], more: Object | BindParameter[Any]) -> Merged:
    """Set keys of an object and leave the others; shallow, as LangGraph's server merges.

    A parameter's value must be `storable` by itself.
    """
    given = more if isinstance(more, BindParameter) else literal(storable(more), column.type)
    merging = Merged(column, given)
    merging.type = column.type
    return merging


def contained(wanted: Any, value: Any) -> bool:
    """Say in Python what `contains` says in SQL: postgresql.org/docs/current/datatype-json.html.

    Takes as long as both are large, except for objects and lists in lists: of these, each that is
    wanted is compared with each that is there.
    """
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and contained(inner, value[key]) for key, inner in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and _all_in(wanted, value)
    return not isinstance(value, dict | list) and _scalar(wanted) == _scalar(value)


def _all_in(wanted: list[Any], there: list[Any]) -> bool:
    scalars = {_scalar(each) for each in there if not isinstance(each, dict | list)}
    nested = [each for each in there if isinstance(each, dict | list)]
    return all(
        any(contained(inner, each) for each in nested)
        if isinstance(inner, dict | list)
        else _scalar(inner) in scalars
        for inner in wanted
    )


def _scalar(value: Any) -> tuple[bool, Any]:
    """What two values of JSON have in common when they are equal: 1 and 1.0, but not 1 and true."""
    return isinstance(value, bool), value


def storable(value: Any) -> Any:
    """Put U+FFFD for characters that no database stores, and null for NaN and infinity.

    What a run came to must be written down, whatever its errors and interrupts say.
    """
    return value if _is_storable(value) else cleaned(value)


def _is_storable(value: Any) -> bool:
    try:
        text = orjson.dumps(value)
    except TypeError:  # half a surrogate pair, or only what orjson does not write
        text = b"null"
    # What it writes for NaN, and in texts that only look so: the other encoder says which it is.
    if b"null" not in text and rb"\u0000" not in text:
        return True
    return _SUSPECT.search(json.dumps(value)) is None


def cleaned(value: Any) -> Any:
    """Return what `storable` does, without the look whether there is anything to replace."""
    if isinstance(value, dict):
        return {cleaned(key): cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(each) for each in value]
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124
        return None
    return value


@compiles(Contains, "postgresql")
def _contains_operator(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    return _between("@>", element, compiler, options)


@compiles(Merged, "postgresql")
def _merge_operator(element: Merged, compiler: SQLCompiler, **options: Any) -> str:
    return _between("||", element, compiler, options)


def _between(
    operator: str, element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]
) -> str:
    left, right = (compiler.process(clause, **options) for clause in list(element.clauses)[:2])
    return f"({left} {operator} {right})"


@compiles(MemberEquals, "postgresql")
def _equality(element: MemberEquals, compiler: SQLCompiler, **options: Any) -> str:
    column, key, value = (compiler.process(each, **options) for each in list(element.clauses)[:3])
    return f"(({column} -> {key}) = {value})"


@compiles(Merged, "sqlite")
def _call(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    return f"{element.name}({compiler.process(element.clauses, **options)})"


@compiles(Contains, "sqlite")
@compiles(MemberEquals, "sqlite")
def _search(element: FunctionElement[Any], compiler: SQLCompiler, **options: Any) -> str:
    clauses = [compiler.process(clause, **options) for clause in element.clauses]
    count = 2 if isinstance(element, Contains) else 3
    found = [f"instr({clauses[0]}, {text}) > 0" for text in clauses[count:]]
    parsed = f"{element.name}({', '.join(clauses[:count])})"
    # SQLite evaluates both sides of an AND that is a value; of a CASE only what it comes to.
    return f"CASE WHEN {' AND '.join(found)} THEN {parsed} ELSE 0 END" if found else parsed


def install_functions(connection: Any, check_time: Callable[[], None]) -> None:
    """Teach a connection to SQLite these functions; `check_time` raises when its time is over.

    SQLite cannot interrupt what Python calculates for it, so each call looks at the time.
    """

    def within_time(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            check_time()
            return None if arguments[0] is None else function(*arguments)  # as PostgreSQL's do

        return called

    for name, count, function in (
        ("json_contains", 2, _contains_text),
        ("json_merged", 2, _merge_text),
        ("json_member_equals", 3, _member_equals_text),
    ):
        connection.create_function(name, count, within_time(function), deterministic=True)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Any:
    """Parse what all rows of a search are compared with; it must not be changed."""
    return json.loads(text)


async def install_codec(connection: Any) -> None:
    """Teach a connection to PostgreSQL to read numbers of JSONB as they were sent.

    JSONB writes the float 1e300 as 301 digits. Read as an integer it would be one beyond 64 bits,
    which no checkpoint can hold: a thread with it in its metadata could not be run again.
    """
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",  # a byte for the version, then text
        encoder=lambda text: b"\x01" + text.encode(),
        decoder=lambda data: json.loads(data[1:], parse_int=_integer_or_float),
    )


def _integer_or_float(digits: str) -> int | float:
    if len(digits) < _DIGITS_OF_64_BITS:
        return int(digits)
    number = int(digits)
    beyond = not -(2**63) <= number < 2**64 and abs(number) < _MAX_FLOAT
    return float(number) if beyond else number


def _contains_text(document: str, wanted: str) -> bool:
    return contained(_parsed(wanted), json.loads(document))


def _merge_text(document: str, more: str) -> str:
    return json.dumps({**json.loads(document), **json.loads(more)})


def _member_equals_text(document: str, key: str, value: str) -> bool:
    members = json.loads(document)
    return key in members and bool(members[key] == _parsed(value))
