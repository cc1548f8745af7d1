"""Guards of one's own: each a file with one function `guard(text, where) -> Verdict | None`.

They are found as tools are: in the public modules directly inside the folders that are named. But
a file without a guard stops the start: what should guard and is left out would be missed by nobody.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

from structlog import get_logger

from everturn.graph.guards.verdict import Noted, Screened, Verdict, Where, withheld

log = get_logger(__name__)

Guard = Callable[[str, Where], Verdict | Awaitable[Verdict | None] | None]


class GuardMissing(Exception):
    """A guard of one's own cannot be used; says which file, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class OwnGuard:
    """One guard, by the name of its file."""

    name: str
    guard: Guard

    async def screen(self, text: str, where: Where) -> Screened:
        """Ask it. One that fails blocks: what nobody has looked at does not pass."""
        try:
            verdict = self.guard(text, where)
            if inspect.isawaitable(verdict):
                verdict = await verdict
            action = verdict.action if verdict else "pass"
        except Exception as error:
            # Neither its words nor its trace: they may hold the text.
            log.warning("guard_failed", guard=self.name, error=type(error).__name__)
            verdict, action = None, "block"
        if action == "pass":
            return Screened(text)
        note = (Noted(self.name, action),)
        if action == "block":
            return Screened(withheld(self.name), note)
        redacted = verdict.text if verdict and action == "redact" else None
        return Screened(text if redacted is None else redacted, note)


def find_guards(folders: Sequence[Path]) -> list[OwnGuard]:
    """Import the guards of folders, in the order of their names.

    Raises:
        GuardMissing: there is no such folder, or a file of it has no function `guard`.
    """
    return [_guard_in(file) for folder in folders for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    path = folder.expanduser().resolve()
    if not path.is_dir():
        raise GuardMissing(f"EVERTURN_GUARD_PATHS: there is no folder {folder}")
    files = sorted(path.glob("[!_]*.py"))
    if not files:
        raise GuardMissing(f"EVERTURN_GUARD_PATHS: {folder} has no guard: add a file, or leave it")
    return files


def _guard_in(file: Path) -> OwnGuard:
    spec = spec_from_file_location(f"everturn_guard_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise GuardMissing(f"{file}: is not a Python file")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise GuardMissing(f"{file}: {type(error).__name__}: {error}") from error
    found = getattr(module, "guard", None)
    if not callable(found):
        raise GuardMissing(f"{file}: write a function `guard(text, where)` in it")
    return OwnGuard(file.stem, cast("Guard", found))
