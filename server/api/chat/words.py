"""What a chat stream has said, and what is to be taken back where another attempt goes on.

A client may have heard more than can be read again: words are told before they are in the log.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from everturn.server.api.chat.events import ChatEvent


class Words:
    """How much of each message was said and not taken back."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._said: dict[str | None, int] = {}
        """Characters by message; under one id there is but one text."""

    def hear(self, name: str, data: Mapping[str, Any]) -> None:
        """Know of an event that was read."""
        message_id = data.get("message_id")
        if name in {"message", "reasoning"}:
            new = len(data["content"]) if name == "message" else 0
            self._said[message_id] = self._said.get(message_id, 0) + new
        elif name == "reset":
            self._said.pop(message_id, None)

    def stand(self, standing: Iterable[Mapping[str, Any]], *, heard_more: bool) -> list[ChatEvent]:
        """Take back what a new attempt does not keep; say what it keeps and was not said whole.

        Args:
            standing: the messages that it keeps, with `id` and `content`.
            heard_more: the client may know messages that are not known here: all is taken back.
        """
        kept = {each["id"]: each["content"] for each in standing}
        gone = [
            (message_id, chars)
            for message_id, chars in self._said.items()
            if heard_more or message_id not in kept or chars != len(kept[message_id])
        ]
        for message_id, _ in gone:
            del self._said[message_id]
        if heard_more:
            gone = [(None, sum(chars for _, chars in gone))]
        missing = {id_: text for id_, text in kept.items() if id_ not in self._said}
        self._said |= {message_id: len(text) for message_id, text in missing.items()}
        again = [_message(message_id, text) for message_id, text in missing.items() if text]
        return [*(_taken_back(*each) for each in gone), *again]

    def answer(self, message_id: str | None, text: str, *, heard_more: bool) -> list[ChatEvent]:
        """Say an answer whole, unless it was; the client may have heard more of it."""
        if message_id is None:  # nothing was answered
            return []
        said = self._said.get(message_id)
        if said == len(text) and not heard_more:
            return []
        cut = said is not None or heard_more
        again = [_message(message_id, text)] if text else []
        self._said[message_id] = len(text)
        return [*([_taken_back(message_id, said or 0)] if cut else []), *again]


def _message(message_id: str | None, text: str) -> ChatEvent:
    return "message", {"content": text, "message_id": message_id}


def _taken_back(message_id: str | None, chars: int) -> ChatEvent:
    return "reset", {"message_id": message_id, "reason": "restarted", "chars": chars}
