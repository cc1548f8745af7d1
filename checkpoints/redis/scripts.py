"""The Lua scripts, one file each in `lua/`. An operation is one script: atomic, and one trip."""

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Literal

Name = Literal[
    "put",
    "put_writes",
    "keep_answer",
    "answers",
    "read",
    "history",
    "names",
    "storage",
    "delete",
    "prune",
    "copy",
    "dump",
    "restore",
]

# What stands before a script of each name: Lua in Redis has no `require`.
_PREAMBLE: dict[Name, tuple[str, ...]] = {
    "put": ("thread", "order", "chunks", "store", "sweep"),
    "put_writes": ("thread", "chunks", "store"),
    "keep_answer": ("thread",),
    "answers": ("thread",),
    "read": ("thread", "order", "chunks"),
    "history": ("thread", "order", "chunks"),
    "names": ("thread",),
    "storage": ("thread", "chunks"),
    "delete": ("thread",),
    "prune": ("thread", "order", "chunks", "sweep"),
    "copy": ("thread", "copied"),
    "dump": ("thread",),
    "restore": ("thread", "copied"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name under which EVALSHA finds it in the server's cache."""

    name: Name
    source: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        """Names the script as Redis does."""
        digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


@cache
def script(name: Name) -> Script:
    """The script of that name, read once a process."""
    folder = files("everturn.checkpoints.redis") / "lua"
    parts = (*_PREAMBLE[name], name)
    source = "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(name, source)
