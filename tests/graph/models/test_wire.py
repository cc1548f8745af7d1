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

from everturn.graph.models.answer import Answer
from everturn.graph.models.failures import CallFailed, Failure, failure_of
from everturn.graph.models.reader import Chunk, Reader
from everturn.graph.models.wire import Clock, chunks_of, refusal_of
from tests.waiting import PATIENCE

_REQUEST = httpx2.Request("POST", "http://x", headers={"authorization": "Bearer open-sesame"})


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
    return httpx2.Response(200, headers={"content-type": kind}, stream=body, request=_REQUEST)


async def _read(response: httpx2.Response, seconds: float = 5.0) -> list[Chunk]:
    end = asyncio.get_running_loop().time() + seconds
    return [chunk async for chunk in chunks_of(response, Clock(seconds, end, seconds))]


async def _text(response: httpx2.Response, seconds: float = 5.0) -> tuple[str, Failure | None]:
    answer = _folded(await _read(response, seconds))
    return answer.text, answer.flaw()


def _said(text: str, finish_reason: str | None = None) -> Chunk:
    return {"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]}


WORDS = [_said("één "), _said("둘 "), _said("three", "stop")]
WHOLE = ("één 둘 three", None)
STREAM = b": comment\n\n" + b"".join(
    b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in WORDS
)


@given(
    cuts=st.lists(st.integers(0, len(STREAM)), max_size=8),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    start=st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_the_pieces_of_a_stream_do_not_matter(
    cuts: list[int], line_end: bytes, start: bytes
) -> None:
    stream = start + STREAM.replace(b"\n", line_end)
    edges = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert asyncio.run(_text(_response(Body(*pieces)))) == WHOLE


async def test_the_last_line_needs_no_end() -> None:
    assert await _text(_response(Body(STREAM.rstrip()))) == WHOLE


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet-stream"])
async def test_a_stream_may_have_any_content_type(kind: str) -> None:
    assert await _text(_response(Body(STREAM), kind)) == WHOLE


async def test_one_event_may_have_several_lines_of_data() -> None:
    event = b'data: {"choices": [{"delta":\ndata: {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    assert await _text(_response(Body(event))) == ("a", None)


async def test_after_done_nobody_waits_for_the_connection_to_close() -> None:
    body = Body(STREAM + b"data: [DONE]\n\n", stays_open=True)
    assert await _text(_response(body), seconds=30) == WHOLE
    assert body.closed


async def test_the_usage_may_come_after_done() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}\n\n'
    answer = _folded(await _read(_response(Body(STREAM + b"data: [DONE]\n\n" + usage))))
    assert answer.usage == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


async def test_done_without_a_finish_reason_is_an_end_and_no_end_at_all_is_a_cut() -> None:
    words = b"data: " + json.dumps(_said("all")).encode() + b"\n\n"
    assert await _text(_response(Body(words + b"data: [DONE]\n\n"))) == ("all", None)
    text, flaw = await _text(_response(Body(words)))
    assert text == "all"
    assert flaw is not None
    assert flaw.kind == "cut"


@pytest.mark.parametrize(
    "filler", [{"choices": []}, _said(""), {"choices": [{"delta": {"role": "assistant"}}]}]
)
async def test_what_says_nothing_keeps_no_call_alive(filler: Chunk) -> None:
    piece = b"data: " + json.dumps(filler).encode() + b"\n\n"
    body = Body(*[piece] * 50, stays_open=True)
    with pytest.raises(TimeoutError):
        await _read(_response(body), seconds=0.1)
    assert body.closed


async def test_events_without_data_are_signs_of_life() -> None:
    assert await _text(_response(Body(b"data:\n\n" + STREAM + b"data: \n\n"))) == WHOLE


async def test_empty_chunks_after_the_end_keep_nobody_waiting() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield STREAM
        while True:
            yield b'data: {"choices": []}\n\n'
            await asyncio.sleep(0.05)

    response = httpx2.Response(200, stream=_Stream(endless()))
    assert await _text(response, seconds=PATIENCE) == WHOLE


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


async def test_a_key_that_a_refusal_repeats_is_not_passed_on() -> None:
    error = {"error": {"message": "no such key: open-sesame"}}
    refused = await refusal_of(httpx2.Response(401, json=error, request=_REQUEST))
    assert "no such key: …" in str(refused)
    assert "sesame" not in failure_of(refused).detail


async def test_nor_one_that_an_error_in_an_answer_repeats() -> None:
    error = b'data: {"error": {"message": "no such key: open-sesame"}}\n\n'
    with pytest.raises(CallFailed) as raised:
        await _read(_response(Body(error)))
    assert raised.value.failure.detail == "no such key: …"


def _folded(chunks: list[Chunk]) -> Answer:
    answer = Answer()
    for chunk in chunks:
        answer.add(chunk)
    return answer


async def test_an_answer_that_was_not_streamed_is_one_too() -> None:
    function = {"name": "add", "arguments": "{}"}
    calls = [{"id": name, "type": "function", "function": function} for name in ("1", "2")]
    message: dict[str, Any] = {"role": "assistant", "content": "Hm.", "tool_calls": calls}
    completion = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    body = Body(b" \n", json.dumps(completion).encode())
    answer = _folded(await _read(_response(body, "application/json")))
    assert answer.flaw() is None
    assert answer.completion()["choices"][0]["message"] == message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"code": 429, "message": "slow"}}', "rate_limited"),
        (b'[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]', "rate_limited"),
        (b'{"object": "error", "message": "no", "type": "BadRequestError"}', "bad_request"),
        (b'{"detail": "Too Many Requests"}', "rate_limited"),
        (b'{"error": "overloaded"}', "unavailable"),
        (b'{"error": "what?"}', "malformed"),
        (b'{"choices": [{"error": {"code": 502, "message": "x"}}]}', "unavailable"),
        (b'event: error\ndata: {"message": "rate limit"}\n\n', "rate_limited"),
        (b"event: error\ndata: Service overloaded\n\n", "unavailable"),
        (
            b'data: {"error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
            "unavailable",
        ),
        (b"data: not JSON\n\n", "malformed"),
        (b"Internal Server Error", "malformed"),
        (b"<html>", "malformed"),
    ],
)
async def test_what_is_no_answer_is_classified(body: bytes, kind: str) -> None:
    with pytest.raises(CallFailed) as raised:
        await _read(_response(Body(body), "application/json"))
    assert raised.value.failure.kind == kind


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b": comment\n\n"])
async def test_an_answer_without_choices_is_none(body: bytes) -> None:
    try:
        flaw = _folded(await _read(_response(Body(body)))).flaw()
    except CallFailed as failed:
        flaw = failed.failure
    assert flaw is not None
    assert flaw.kind == "malformed"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        *((broken, "broken_tool_call") for broken in ('{"a": 1', '{"a": 1}}', "{'a': 1}")),
        *((wrong, None) for wrong in ("[1]", '"text"', "[" * 2000)),  # the model is told
    ],
)
def test_a_tool_call_is_strictly_json(arguments: str, kind: str | None) -> None:
    reader, answer = Reader(), Answer()
    name = {"index": 0, "function": {"name": "add"}}
    bits = [{"index": 0, "function": {"arguments": bit}} for bit in re.findall("..?", arguments)]
    for piece in (name, *bits):
        if chunk := reader.read({"choices": [{"delta": {"tool_calls": [piece]}}]}):
            answer.add(chunk)
    reader.ended = True
    for chunk in reader.close():
        answer.add(chunk)
    flaw = answer.flaw()
    assert (flaw and flaw.kind) == kind
