"""Reasoning that a model writes in front of its answer, between `<think>` and `</think>`.

Open models such as DeepSeek-R1 and Qwen3 think so, and local servers pass it on as text unless they
are told to parse it: https://docs.vllm.ai/en/latest/features/reasoning_outputs.html.
"""

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkTag:
    """Takes the reasoning out of an answer that arrives in pieces.

    Only an answer that begins with the tag has any: further on, the tag is text like any other.
    """

    def __init__(self) -> None:
        self._held = ""
        """What may still be a part of a tag, or the white space around one."""
        self._place = self._before

    def feed(self, piece: str) -> tuple[str, str]:
        """Return what a piece adds to the answer, and what it adds to the reasoning."""
        return self._place(self._held + piece)

    def close(self) -> tuple[str, str]:
        """Return what is left at the end: a tag that never became one is text."""
        rest, self._held = self._held, ""
        if self._place == self._before:
            return rest, ""
        return "", rest if self._place == self._inside else ""

    def _before(self, text: str) -> tuple[str, str]:
        start = text.lstrip()
        if start.startswith(_OPEN):
            self._place = self._inside
            return self._inside(start.removeprefix(_OPEN))
        if _OPEN.startswith(start):
            self._held = text
            return "", ""
        self._held, self._place = "", self._answer
        return text, ""

    def _inside(self, text: str) -> tuple[str, str]:
        thoughts, closed, rest = text.partition(_CLOSE)
        if closed:
            self._place = self._after
            return self._after(rest)[0], thoughts
        held = next(n for n in range(len(_CLOSE) - 1, -1, -1) if text.endswith(_CLOSE[:n]))
        self._held = text[len(text) - held :]
        return "", text[: len(text) - held]

    def _after(self, text: str) -> tuple[str, str]:
        """Skip the empty lines between the reasoning and the answer."""
        self._held = ""
        answer = text.lstrip()
        if answer:
            self._place = self._answer
        return answer, ""

    def _answer(self, text: str) -> tuple[str, str]:
        return text, ""
