"""What redaction looks for: a kind is a pattern, and a check of what it matches.

Every pattern takes a time that grows with the text and no faster: repetitions are bounded, or can
only begin where what stands before is of another sort.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from everturn.graph.guards.verdict import Find


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of data. Where the pattern has a group `found`, that is what is found."""

    name: str
    pattern: re.Pattern[str]
    end: Callable[[str], int] = len
    """Where it ends in what matches; 0: it is none."""

    def finds(self, text: str) -> Iterator[Find]:
        """Yield where it stands in a text."""
        group = "found" if "found" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(text):
            if length := self.end(match[group]):
                yield Find(match.start(group), match.start(group) + length, self.name)


def kind(
    name: str,
    pattern: str,
    holds: Callable[[str], bool] | None = None,
    **more: Callable[[str], int],
) -> Kind:
    """Make a kind of what matches and `holds`; see `Kind` for what there is `more` to say.

    Its pattern knows letters and digits of ASCII only, so that Hangul ends them.
    """
    if holds:
        more["end"] = lambda found: len(found) if holds(found) else 0
    return Kind(name, re.compile(pattern, re.ASCII), **more)


def finds_in(text: str, kinds: Iterable[Kind]) -> list[Find]:
    """Return what is found in a text, in the order in which it begins; finds may overlap."""
    return sorted(find for each in kinds for find in each.finds(text))


def replaced(text: str, finds: Iterable[Find]) -> str:
    """Return a text with the kind of each find in its place; `finds` are in their order."""
    parts, at = [], 0
    for find in finds:
        if find.start >= at:
            parts += [text[at : find.start], f"[{find.kind}]"]
        at = max(at, find.end)
    return "".join([*parts, text[at:]])
