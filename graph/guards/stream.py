"""A model's answer, screened while it is streamed: what is shown is what is stored.

The newest part of an answer is held back: it may be the beginning of something that is to be
replaced. `HOLD` characters are enough for whatever has spaces in it, and what has none, such as a
token, is held from its start on. Guards of one's own see whole texts, so with them an answer is
shown when it is whole. Of an answer that is blocked, the rest is not shown; the words before were
harmless by themselves.
"""

from typing import Any

from langchain_core.messages import AIMessage

from everturn.graph.guards.guards import Guards, notes_of, redacting
from everturn.graph.guards.kinds import replaced
from everturn.graph.guards.verdict import Find, Noted, refusal
from everturn.graph.guards.words import MAX_MATCH
from everturn.graph.models.reader import Chunk

HOLD = MAX_MATCH + 6
MAX_RUN = 8192
"""Characters without a space that are held."""

_CONTEXT = 64
"""Characters before what is held that a pattern may look back at."""
_STEP = 32
"""Characters after which the text is looked at again."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class HeldBack:
    """One text of an answer: takes pieces, returns what may be shown."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self._before = ""
        """The end of what was released, as it came."""
        self._held = ""
        self._enough = HOLD + _STEP
        """Characters that are held when the text is looked at again."""
        self.notes: list[Noted] = []
        self.blocked_by: str | None = None

    def feed(self, piece: str) -> str:
        """Return what may be shown with this piece."""
        if self.blocked_by:
            return ""
        self._held += piece
        if self._guards.own or len(self._held) < self._enough:
            return ""
        text = self._before + self._held
        finds = self._finds(text)
        shown = self._release(text, finds, self._cut(text, finds))
        # A long text that stays held is not looked at with each piece of it.
        self._enough = max(HOLD, len(self._held)) + max(_STEP, len(self._held) // 8)
        return shown

    async def close(self) -> str:
        """Return what is left at the end."""
        for guard in self._guards.own if self._held else ():
            screened = await guard.screen(self._held, "answer")
            self._note(screened.notes)
            if screened.blocked_by:
                return self._refused(screened.blocked_by)
            self._held = screened.text
        text = self._before + self._held
        return self._release(text, self._finds(text), len(text))

    def _finds(self, text: str) -> list[Find]:
        return [find for find in self._guards.finds(text) if find.start >= len(self._before)]

    def _cut(self, text: str, finds: list[Find]) -> int:
        """Return up to where a text can be released: nothing that is found may be cut."""
        cut, last = len(text) - HOLD, -1
        while cut != last:
            last = cut
            run = len(text[:cut].rstrip(_PRINTABLE))
            if text[cut] in _PRINTABLE and len(text) - run <= MAX_RUN:
                cut = run
            cut = min([cut, *(find.start for find in finds if find.start < cut < find.end)])
        return max(cut, len(self._before))

    def _release(self, text: str, finds: list[Find], cut: int) -> str:
        begin = len(self._before)
        done = [find for find in finds if find.end <= cut]
        blocking = next((find for find in done if find.action == "block"), None)
        if blocking:
            cut = blocking.start
            done = [find for find in done if find.end <= cut]
        self._note(notes_of([*done, *([blocking] if blocking else [])]))
        redacted = [f._replace(start=f.start - begin, end=f.end - begin) for f in redacting(done)]
        shown = replaced(text[begin:cut], redacted)
        if blocking:
            return shown + self._refused(blocking.guard, after=shown)
        self._before, self._held = text[max(0, cut - _CONTEXT) : cut], text[cut:]
        return shown

    def _refused(self, guard: str, *, after: str = "") -> str:
        self.blocked_by, self._held = guard, ""
        return refusal(guard) if after[-1:].isspace() or not after else f" {refusal(guard)}"

    def _note(self, notes: tuple[Noted, ...]) -> None:
        new = [note for note in notes if note not in self.notes]
        self._guards.count(new)
        self.notes += new


class AnswerScreen:
    """Screens the chunks of one answer: its words, and what was thought before."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self._words, self._thoughts = HeldBack(guards), HeldBack(guards)

    @property
    def blocked_by(self) -> str | None:
        """The guard that blocked the answer."""
        return self._words.blocked_by

    async def take(self, chunk: Chunk) -> list[Chunk]:
        """Return what may be shown and stored with a chunk."""
        choice = next(iter(chunk["choices"]), None)
        if choice is None:
            return [{**chunk, **self._without(chunk)}]
        if choice["finish_reason"]:
            rest = {
                "content": await self._words.close(),
                "reasoning": await self._thoughts.close(),
            }
            return [*_with(chunk, {**choice, "finish_reason": None}, rest), chunk]
        delta = choice["delta"]
        shown = {
            "content": self._words.feed(delta.get("content") or ""),
            "reasoning": self._thoughts.feed(delta.get("reasoning") or ""),
        }
        if "tool_calls" in delta and not self.blocked_by:
            shown["tool_calls"] = delta["tool_calls"]
        return _with(chunk, choice, shown)

    async def screen(self, answer: AIMessage) -> None:
        """Screen an answer that did not come in chunks, and sign it."""
        if isinstance(answer.content, str):
            answer.content = self._words.feed(answer.content) + await self._words.close()
        self.sign(answer)

    def sign(self, answer: AIMessage) -> None:
        """Say in an answer what was found; one that was blocked calls no tools."""
        notes = [*self._words.notes, *self._thoughts.notes]
        if notes:
            answer.response_metadata["guards"] = [note.to_json() for note in notes]
        if self.blocked_by:
            answer.tool_calls, answer.invalid_tool_calls = [], []
            answer.additional_kwargs.pop("tool_calls", None)
            answer.response_metadata["finish_reason"] = "content_filter"

    def _without(self, chunk: Chunk) -> Chunk:
        """Screen what the provider wants back: it holds the thoughts once more."""
        return {"returned": self._each(chunk["returned"])} if chunk.get("returned") else {}

    def _each(self, value: Any) -> Any:
        if isinstance(value, str):
            finds = self._guards.finds(value)
            return replaced(value, [find for find in finds if find.action != "mark"])
        if isinstance(value, dict):
            return {key: self._each(each) for key, each in value.items()}
        return [self._each(each) for each in value] if isinstance(value, list) else value


def _with(chunk: Chunk, choice: dict[str, Any], said: dict[str, Any]) -> list[Chunk]:
    """Return a chunk that says this; none where it says nothing."""
    if not any(said.values()):
        return []
    delta = {"role": "assistant", "content": "", **{k: v for k, v in said.items() if v}}
    return [{**chunk, "choices": [{**choice, "delta": delta}]}]
