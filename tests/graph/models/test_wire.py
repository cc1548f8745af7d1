"""Reading a stream: whatever its pieces, and whatever keeps it open."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph.models.answer import Answer
from graph.models.failures import CallFailed
from graph.models.wire import Chunk, Clock, chunks_of


class Body(httpx2.AsyncByteStream):
    """A body in these pieces; it can be left open."""

    def __init__(self, *pieces: bytes, stays_open: bool = False) -> None:
        self._pieces, self._stays_open = pieces, stays_open
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._stays_open:
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def _response(body: Body, kind: str = "text/event-stream") -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": kind}, stream=body)


async def _read(response: httpx2.Response, seconds: float = 5.0) -> list[Chunk]:
    end = asyncio.get_running_loop().time() + seconds
    return [chunk async for chunk in chunks_of(response, Clock(seconds, end, due=end))]


def _said(text: str, finish_reason: str | None = None) -> Chunk:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]}


WORDS = [_said("één "), _said("둘 "), _said("three", "stop")]
STREAM = b": comment\n\n" + b"".join(
    b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in WORDS
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8), crlf=st.booleans())
def test_the_pieces_of_a_stream_do_not_matter(cuts: list[int], crlf: bool) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    if crlf:
        pieces = [piece.replace(b"\n", b"\r\n") for piece in pieces]
    assert asyncio.run(_read(_response(Body(*pieces)))) == WORDS


async def test_the_last_line_needs_no_end() -> None:
    assert await _read(_response(Body(STREAM.rstrip()))) == WORDS


async def test_after_done_nobody_waits_for_the_connection_to_close() -> None:
    body = Body(STREAM + b"data: [DONE]\n\n", stays_open=True)
    assert await _read(_response(body), seconds=30) == WORDS
    assert body.closed


@pytest.mark.parametrize(
    "filler", [{"choices": []}, _said(""), {"choices": [{"delta": {"role": "assistant"}}]}]
)
async def test_what_says_nothing_keeps_no_call_alive(filler: Chunk) -> None:
    piece = b"data: " + json.dumps(filler).encode() + b"\n\n"
    body = Body(*[piece] * 50, stays_open=True)
    with pytest.raises(TimeoutError):
        await _read(_response(body), seconds=0.1)
    assert body.closed


def _folded(chunks: list[Chunk]) -> Answer:
    answer = Answer()
    for chunk in chunks:
        answer.add(chunk)
    return answer


async def test_an_answer_that_was_not_streamed_is_one_too() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    message: dict[str, Any] = {"role": "assistant", "content": "Hm.", "tool_calls": [call, call]}
    completion = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    body = Body(json.dumps(completion).encode())
    answer = _folded(await _read(_response(body, "application/json")))
    assert answer.flaw() is None
    assert answer.completion()["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hm.",
        "tool_calls": [call, call],
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"code": 429, "message": "slow"}}', "rate_limited"),
        (b'{"error": "overloaded"}', "malformed"),
        (b"[]", "malformed"),
        (b"<html>", "malformed"),
    ],
)
async def test_what_is_no_answer_is_classified(body: bytes, kind: str) -> None:
    with pytest.raises(CallFailed) as raised:
        await _read(_response(Body(body), "application/json"))
    assert raised.value.failure.kind == kind


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", '"text"', '{"a": 1}}', "{'a': 1}"])
def test_a_tool_call_is_strictly_json(arguments: str) -> None:
    bits = re.findall("..?", arguments)
    pieces = [{"index": 0, "function": {"arguments": bit}} for bit in bits]
    chunks: list[Chunk] = [{"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces]
    flaw = _folded([*chunks, _said("", "tool_calls")]).flaw()
    assert flaw is not None
    assert flaw.kind == "broken_tool_call"
