"""The built files: known by name from the start, read and compressed once, when first asked for.

    assets/index.html        the page itself, at `/`
    assets/page/talk-….js    its parts, at `/page/talk-….js`, as Vite names them in it

Only these names lead to a file: no path of a request is ever looked up in the file system.
"""

import asyncio
import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
INDEX = "index.html"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_PACKED = frozenset({".ico", ".png", ".woff2"})
"""They do not become smaller."""
_HASHED = re.compile(r"-(?=[\w-]*[\dA-Z_])[\w-]{8}\.\w+$")
"""How Vite's names end that change with what is in the file."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, as it is sent."""

    plain: bytes
    gzipped: bytes | None
    """None where that is not smaller."""
    media_type: str
    tag: str
    """Changes with what is in it."""
    immutable: bool
    """Whether another text would have another name."""


class Files:
    """All files below a folder."""

    def __init__(self, folder: Path) -> None:
        """Learn their names."""
        self._paths: Mapping[str, Path] = {
            path.relative_to(folder).as_posix().removeprefix("page/"): path
            for path in folder.rglob("*")
            if path.suffix in _TYPES and (path.parent != folder or path.name == INDEX)
        }
        self._read: dict[str, File] = {}

    @property
    def names(self) -> frozenset[str]:
        """The names of all files, as paths below the folder."""
        return frozenset(self._paths)

    async def get(self, name: str) -> File | None:
        """Return a file; None where there is none."""
        if name not in self._read:
            path = self._paths.get(name)
            if path is None:
                return None
            self._read[name] = await asyncio.to_thread(_read, name, path)
        return self._read[name]


def _read(name: str, path: Path) -> File:
    plain = path.read_bytes()
    # With a time in it, each process would send another file.
    gzipped = None if path.suffix in _PACKED else gzip.compress(plain, mtime=0)
    return File(
        plain,
        gzipped if gzipped is not None and len(gzipped) < len(plain) else None,
        _TYPES[path.suffix],
        sha256(plain).hexdigest()[:32],
        immutable=_HASHED.search(name) is not None,
    )
