"""Words of an attempt that died: what stands is shown once, the rest is taken back."""

import json
from typing import Any

import pytest

from everturn.server.api.chat.answers import ChatStream
from everturn.server.api.chat.events import ChatEvent
from everturn.server.streams.feed import BEGINNING, Cursor, Event
from everturn.server.streams.modes import STANDING

Said = list[tuple[str, Any]]

METADATA: tuple[str, Any] = ("metadata", {"run_id": "r"})


def word(text: str, message_id: str = "m1") -> tuple[str, Any]:
    return "messages", [{"type": "AIMessageChunk", "content": text, "id": message_id}, {}]


def standing(**texts: str) -> tuple[str, Any]:
    return STANDING, [{"id": name, "content": text} for name, text in texts.items()]


FIRST: Said = [METADATA, word("It"), word(" is"), word(" so."), ("updates", {"node": {}})]
AGAIN: Said = [word("It is", "m2"), word(" so.", "m2")]
SUMMARY: tuple[str, Any] = ("summary", {"status": "completed"})


def events(attempt: int, said: Said) -> list[Event]:
    return [
        Event(Cursor(attempt, number), name, json.dumps(data).encode())
        for number, (name, data) in enumerate(said, 1)
    ]


class Client:
    """Shows what a stream says; it comes back with the last event that it got."""

    def __init__(self) -> None:
        self.shown: dict[str | None, str] = {}
        self.place = BEGINNING

    def hear(self, log: list[Event], answer: tuple[str, str] | None = None) -> list[str]:
        """Join a stream that can be read again as far as its log goes."""
        chat = ChatStream(None, {}, after=self.place)  # type: ignore[arg-type]
        for event in log:
            named = chat.read(event)
            if event.cursor > chat.after:
                self.place = event.cursor
                self._show(named)
        if answer and not chat.ended:
            self._show(chat.answer(*answer))
        return [text for text in self.shown.values() if text]

    def _show(self, named: list[ChatEvent]) -> None:
        for name, data in named:
            message_id = data.get("message_id")
            if name == "message":
                self.shown[message_id] = self.shown.get(message_id, "") + data["content"]
            elif name == "reset" and message_id is None:
                self.shown.clear()
            elif name == "reset":
                self.shown.pop(message_id, None)


CUTS = [(heard, kept) for heard in range(len(FIRST) + 1) for kept in range(len(FIRST) + 1)]
"""How many events a client heard, and how many of them were in the log: more, or fewer."""


@pytest.mark.parametrize(("heard", "kept"), CUTS)
def test_a_message_that_did_not_stand_is_taken_back(heard: int, kept: int) -> None:
    client, first = Client(), events(1, FIRST)
    client.hear(first[:heard])
    log = [*first[:kept], *events(2, [METADATA, standing(), *AGAIN, SUMMARY])]
    assert client.hear(log) == ["It is so."]
    assert client.hear(log) == ["It is so."]  # joined once more, all of it was heard


@pytest.mark.parametrize(("heard", "kept"), CUTS)
def test_a_message_that_stands_is_shown_once_and_whole(heard: int, kept: int) -> None:
    client, first = Client(), events(1, FIRST)
    client.hear(first[:heard])
    second = [METADATA, standing(m1="It is so."), word("More.", "m2"), SUMMARY]
    assert client.hear([*first[:kept], *events(2, second)]) == ["It is so.", "More."]


@pytest.mark.parametrize(("heard", "kept"), CUTS)
def test_an_end_that_is_not_in_the_log_says_the_answer_once(heard: int, kept: int) -> None:
    client, first = Client(), events(1, FIRST)
    client.hear(first[:heard])
    assert client.hear(first[:kept], ("m1", "It is so.")) == ["It is so."]


def test_what_stands_and_was_said_whole_is_not_said_again() -> None:
    chat = ChatStream(None, {})  # type: ignore[arg-type]
    for event in events(1, FIRST):
        chat.read(event)
    (_, stands) = events(2, [METADATA, standing(m1="It is so.")])
    assert chat.read(stands) == []
    assert chat.answer("m1", "It is so.") == []
