"""Which tests `make test-fast` leaves out: those with the mark `slow`, given here or in their file.

A test is slow that

- has the mark `clock`: it waits for time, or for another process;
- starts a process, or calls a helper of ours that does;
- runs on a further database, after SQLite or the embedded Valkey.
"""

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import pytest

STARTERS = {"Popen", "Process", "Terminal", "create_subprocess_exec", "process", "subprocess"}
FURTHER_DATABASES = {"cluster", "postgres", "redis"}


def is_slow(test: pytest.Function) -> bool:
    """Whether `make test-fast` leaves a test out, where its file does not say so."""
    if test.get_closest_marker("clock") or starts_process(test.function, set()):
        return True
    parameters = test.callspec.params.values() if hasattr(test, "callspec") else ()
    return any(isinstance(each, str) and each in FURTHER_DATABASES for each in parameters)


def starts_process(function: Callable[..., Any], seen: set[object]) -> bool:
    """Whether a function, or a helper in `tests` that it calls, names what starts processes."""
    function = inspect.unwrap(function)
    ours = isinstance(function, FunctionType) and function.__module__.startswith("tests.")
    if not ours or function in seen:
        return False
    seen.add(function)
    names = names_in(function.__code__)
    if names & STARTERS:
        return True
    helpers = (function.__globals__.get(name) for name in names)
    return any(starts_process(helper, seen) for helper in helpers if inspect.isfunction(helper))


def names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes in a function, also in functions inside of it."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(names_in, inner))
