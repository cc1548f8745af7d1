"""A start-up check: `graph`, `server`, `tools` and `checkpoints` must be ours.

These are plain names. Another distribution that installs a package of the same name would
silently take a room's place, and the service would fail in strange ways later.
"""

from importlib.util import find_spec
from pathlib import Path

ROOMS = ("graph", "server", "tools", "checkpoints")


class ForeignRoom(Exception):
    """A package of another distribution stands where one of ours should."""


def check_rooms() -> None:
    """Check that every room lies beside this one.

    Raises:
        ForeignRoom: naming the package, where it lies and where it should.
    """
    house = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        origin = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if origin != house / room:
            raise ForeignRoom(
                f"The package {room!r} is loaded from {origin}, not from {house / room}: another "
                "distribution has taken its name. Install Everturn in an environment of its own."
            )
