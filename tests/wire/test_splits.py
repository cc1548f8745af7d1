"""Any legal answer, in every dialect, split at any byte: the same message, calls and usage."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everturn.graph.models.answer import Answer
from everturn.graph.models.wire import Clock, chunks_of
from tests.provider import Offer, Reply, Request, ToolCall
from tests.provider.profile import Profile
from tests.provider.profiles import NAMES, load
from tests.provider.transmission import transmit

pytestmark = pytest.mark.slow

ROOM = 60.0  # s; no time is tested here

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CALLS = st.builds(
    ToolCall,
    st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True),
    st.dictionaries(st.text(), JSON, max_size=3),
)
REPLIES = st.builds(
    Reply,
    text=WORDS | st.just("Grüße 😀 an alle 👨‍👩‍👧, 둘 셋.\n\n  - Ende "),
    reasoning=st.just("") | WORDS,
    tool_calls=st.lists(CALLS, max_size=3),
)


class Body(httpx2.AsyncByteStream):
    """A response that arrives in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def _bytes(profile: Profile, reply: Reply, *, stream: bool, counted: bool) -> tuple[str, bytes]:
    """What the provider sends, and under which content type."""
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hallo"}]}
    if stream:
        body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if counted else {})
    sent = transmit(Request("m", body, {}, 0), reply, Offer("m"), profile)
    return sent.headers["Content-Type"], b"".join(piece for _, piece in sent.pieces)


async def _read(kind: str, *pieces: bytes) -> Answer:
    response = httpx2.Response(200, headers={"content-type": kind}, stream=Body(*pieces))
    end = asyncio.get_running_loop().time() + ROOM
    answer = Answer()
    async with aclosing(chunks_of(response, Clock(ROOM, end, ROOM))) as chunks:
        async for chunk in chunks:
            answer.add(chunk)
    return answer


def _said(answer: Answer) -> tuple[str, str, list[tuple[str, Any]]]:
    assert answer.flaw() is None
    calls = answer.completion()["choices"][0]["message"].get("tool_calls", [])
    ids = [call["id"] for call in calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    named = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]
    return answer.text, answer.reasoning, named


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(reply=REPLIES, counted=st.booleans(), data=st.data())
def test_an_answer_is_the_same_however_it_arrives(
    name: str, reply: Reply, counted: bool, data: st.DataObject
) -> None:
    profile = load(name)
    kind, stream = _bytes(profile, reply, stream=True, counted=counted)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    edges = [0, *sorted(cuts), len(stream)]
    split = asyncio.run(_read(kind, *(stream[a:b] for a, b in pairwise(edges))))
    whole = asyncio.run(_read(*_bytes(profile, reply, stream=False, counted=True)))

    thoughts = reply.reasoning if profile.reasons else ""
    called = [(call.name, call.args) for call in reply.tool_calls]
    assert _said(split) == _said(whole) == (reply.text, thoughts, called)

    usage = profile.usage(
        Request("m", {"messages": [{"content": "Hallo"}]}, {}, 0), reply, Offer("m")
    )
    assert whole.usage is not None
    assert whole.usage["total_tokens"] == usage["total_tokens"]
    if counted or profile.always_counts:
        assert split.usage is not None
        assert split.usage["total_tokens"] == usage["total_tokens"]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_may_arrive_byte_by_byte(name: str) -> None:
    profile = load(name)
    call = ToolCall("weather", {"city": "Reykjavík 😀", "days": 3})
    reply = Reply("Grüße 😀.", [call, call], reasoning="Hm 🤔, so.")
    kind, stream = _bytes(profile, reply, stream=True, counted=True)
    answer = asyncio.run(_read(kind, *(stream[n : n + 1] for n in range(len(stream)))))
    thoughts = reply.reasoning if profile.reasons else ""
    assert _said(answer) == (reply.text, thoughts, [(call.name, call.args)] * 2)
