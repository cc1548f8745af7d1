"""What ends a stream before its run does."""

from typing import Any


class Moved(Exception):
    """What is followed goes on in another process, and this one ends.

    A client finds it there when it comes back to the place.
    """

    def __init__(self, place: Any) -> None:
        """Keep the place of the last event that was seen, as clients name it."""
        super().__init__(place)
        self.place = place
