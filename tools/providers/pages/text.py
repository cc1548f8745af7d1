"""What is read of a page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """What a page says."""

    title: str
    language: str
    """As the page names it; often empty."""
    text: str
