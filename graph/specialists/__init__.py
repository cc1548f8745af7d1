"""The team's specialists, one a file: what each is for, its tools, and what its model must do.

Put a file with a `specialist` here, or name one in `EVERTURN_SPECIALISTS`, also one that lives
elsewhere. It is a node of the graph `team`, and a tool of the model that leads it.

The package is not called `team`: beside the page `graph/team.py` it would hide it, as Python takes
the folder where a folder and a file have one name.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings alone are read more often, and need none of it
    from collections.abc import Iterable

    from everturn.graph.specialists.kit.specialist import Specialist


@cache
def find_specialists() -> dict[str, Specialist]:
    """Return all specialists by name, in order: those of files, then those of the settings.

    One of the settings takes the place of a file's of the same name.

    Raises:
        ValidationError: the settings are wrong.
        ValueError: one names a colleague that there is not.
    """
    from everturn.graph.specialists.kit.settings import SpecialistSettings

    files = [name for _, name, is_package in iter_modules(__path__) if not is_package]
    own = [import_module(f"{__name__}.{name}").specialist for name in sorted(files)]
    named = [each.specialist() for each in SpecialistSettings.read().specialists]
    return checked([*own, *named])


def check_specialists(names: Iterable[str] | None) -> None:
    """Raise UnknownTool where one of `names` is no specialist: it is asked as a tool is called."""
    from everturn.tools.kit.discovery import UnknownTool

    there_are = find_specialists()
    for name in names or ():
        if name not in there_are:
            raise UnknownTool(name, there_are)


def checked(several: Iterable[Specialist]) -> dict[str, Specialist]:
    """Return specialists by name; raise ValueError where one names a colleague there is not."""
    found = {each.name: each for each in several}
    for each in found.values():
        for colleague in each.colleagues:
            if colleague not in found:
                there_are = ", ".join(found)
                raise ValueError(
                    f"EVERTURN_SPECIALISTS: {each.name} names the colleague {colleague!r}, and "
                    f"there is no such specialist; there are {there_are}."
                )
    return found
