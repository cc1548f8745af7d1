"""Whatever a provider sends: an answer or a documented error, and a thread that goes on."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import psutil
import pytest

from tests.hostile.answers import script as script_of
from tests.hostile.turns import CHOICES, DOORS, Rig, rig
from tests.provider import FakeProvider, Reply, ToolCall
from tests.provider.script import Transmission

MIB = 2**20
END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("hostile") / "data", max_answer_size=4 * MIB) as opened:
        yield opened


@pytest.mark.parametrize("number", range(40))
def test_rubbish_costs_one_answer_and_nothing_else(running: Rig, number: int) -> None:
    """`python -m tests.hostile` sends more of it."""
    chance = Random(f"0 {number}")
    door, choices = chance.choice(DOORS), chance.choice(CHOICES)
    running.take(door, script_of(chance), **choices)


def events(*pieces: bytes, **headers: str) -> Transmission:
    return Transmission(
        200, {"Content-Type": "text/event-stream", **headers}, [(0.0, piece) for piece in pieces]
    )


def said(**delta: Any) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def packed(*pieces: bytes, times: int = 1) -> bytes:
    whole = b"".join(pieces)
    for _ in range(times):
        whole = gzip.compress(whole, mtime=0)
    return whole


def bomb(size: int) -> bytes:
    """So many bytes of white space and comments, packed a thousand times smaller."""
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    comments = b":\n\n" * (MIB // 3)
    return b"".join([*(packer.compress(comments) for _ in range(size // MIB)), packer.flush()])


def a_line_without_end() -> Transmission:
    return events(b"data: ", *[b"x" * MIB] * 100)


def data_without_end() -> Transmission:
    return events(*[b"data: x\n" * (MIB // 8)] * 100)


def a_document_without_end() -> Transmission:
    return events(b'{"choices": [', *[b"[]," * (MIB // 3)] * 100)


def a_chunk_of_100_megabytes() -> Transmission:
    return events(b"data: " + b"x" * (100 * MIB) + b"\n\n", END)


def a_text_without_end() -> Transmission:
    return events(*[said(content="word " * 1_000)] * 2_000, END)


def thoughts_without_end() -> Transmission:
    return events(*[said(reasoning_details=[{"type": "x", "text": "hm " * 1_000}])] * 3_000, END)


def empty_chunks() -> Transmission:
    return events(*[b"data: {}\n\n" * 1_000] * 100, END)


def a_bomb() -> Transmission:
    return events(bomb(100 * MIB), **{"Content-Encoding": "gzip"})


def a_bomb_in_a_bomb() -> Transmission:
    return events(packed(bomb(100 * MIB)), **{"Content-Encoding": "gzip, gzip"})


def a_thousand_calls() -> Transmission:
    call = {"type": "function", "function": {"name": "calculator", "arguments": "{}"}}
    calls = [{**call, "index": number, "id": f"c{number}"} for number in range(1_000)]
    return events(said(tool_calls=calls), END)


def a_refusal_without_end() -> Transmission:
    return Transmission(400, {"Content-Type": "text/html"}, [(0.0, b"<p>sk-test " * 95_000)] * 100)


HUGE = [
    a_line_without_end,
    data_without_end,
    a_document_without_end,
    a_chunk_of_100_megabytes,
    a_text_without_end,
    thoughts_without_end,
    empty_chunks,
    a_bomb,
    a_bomb_in_a_bomb,
    a_thousand_calls,
    a_refusal_without_end,
]


@pytest.mark.slow
@pytest.mark.parametrize("made", HUGE, ids=lambda made: made.__name__)
def test_the_memory_of_one_answer_is_bounded(running: Rig, made: Any) -> None:
    sent = made()
    size = sum(len(piece) for _, piece in sent.pieces)
    process = psutil.Process()
    before = process.memory_info().rss
    running.take("message", [sent], offline_answer=False)
    # The provider, which holds all that it sends, is in this process too.
    assert process.memory_info().rss - before < 100 * MIB + size


def test_an_answer_that_is_too_large_names_the_setting(running: Rig) -> None:
    running.behave(a_line_without_end())
    body = {"message": "hi", "offline_answer": False}
    answer = running.client.post("/api/chat/message", json=body)
    assert answer.status_code == 503
    assert "EVERTURN_MAX_ANSWER_SIZE" in answer.json()["detail"]


@pytest.mark.parametrize("pack", [packed, zlib.compress])
def test_a_packed_answer_is_read(running: Rig, pack: Callable[[bytes], bytes]) -> None:
    body = pack(said(content="fi") + said(content="ne") + END)
    name = "gzip" if pack is packed else "deflate"
    pieces = [body[n : n + 1] for n in range(len(body))]
    running.behave(events(*pieces, **{"Content-Encoding": name}))
    assert running.client.ask("hi")["response"] == "fine"


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "rot13", "gzip"])
def test_what_is_packed_otherwise_than_asked_is_no_answer(running: Rig, packing: str) -> None:
    sent = events(b"not packed", **{"Content-Encoding": packing})
    running.take("message", [sent])


def test_what_is_not_packed_as_it_says_cannot_be_read(running: Rig) -> None:
    running.behave(events(b"not packed", **{"Content-Encoding": "gzip"}))
    body = {"message": "hi", "offline_answer": False}
    answer = running.client.post("/api/chat/message", json=body)
    assert "cannot be read" in answer.json()["detail"]


def test_a_provider_is_asked_for_what_can_be_unpacked(running: Rig) -> None:
    running.behave("fine")
    running.client.ask("hi")
    assert running.provider.requests[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(running: Rig, status: int) -> None:
    with FakeProvider() as elsewhere:
        place = {"Location": f"{elsewhere.url}/chat/completions"}
        sent = Transmission(status, place, [(0.0, b"")])
        running.take("message", [sent])
        running.behave(sent)
        answer = running.client.post(
            "/api/chat/message", json={"message": "hi", "offline_answer": False}
        )
        assert elsewhere.requests == []
        assert elsewhere.keyless == []
    assert "EVERTURN_BASE_URL" in answer.json()["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_details": [{"type": "x", "n": float("inf")}]},
        {"reasoning_details": [{"type": "x", "n": 2**70}]},
        {"reasoning_details": [True, 7, None]},
        {"content": [True, "fi", {"type": "thinking", "thinking": [float("nan")]}]},
        {"extra_content": {"google": {"signature": "\ud83d", "deep": [[[[2**64]]]]}}},
        {"thinking_blocks": "x", "reasoning_content": {"n": 1e400}},
    ],
)
@pytest.mark.parametrize("door", DOORS)
def test_what_cannot_be_sent_again_is_not_kept(
    running: Rig, door: str, fields: dict[str, Any]
) -> None:
    running.take(door, [events(said(content="fine"), said(**fields), END)])


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "7", "completion_tokens": {}, "total_tokens": 2**70},
        {"prompt_tokens": 1, "completion_tokens": -5, "total_tokens": True, "cost": -1},
        {"prompt_tokens": 1, "cost": float("nan"), "x": float("inf"), "\ud83d": {"a": 2**65}},
        {"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 2**70, "a": -1}},
    ],
)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("door", DOORS)
def test_usage_that_is_none_counts_nothing(
    running: Rig, door: str, usage: dict[str, Any], whole: bool
) -> None:
    chunk = {"choices": [], "usage": usage}
    counted = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    running.take(door, [events(said(content="fine"), counted, *([END] if whole else []))])


@pytest.mark.parametrize("name", ["id", "model", "created", "service_tier", "system_fingerprint"])
@pytest.mark.parametrize(
    "value", [{"a": float("inf")}, 2**70, [], "a\nb\0\ud83d", "x" * 10_000, True]
)
def test_an_envelope_that_is_none_is_left_out(running: Rig, name: str, value: Any) -> None:
    choice = {"index": 0, "delta": {"content": "fine"}, "finish_reason": {"a": value}}
    chunk = {"id": "gen-1", "model": "m", "choices": [choice], name: value}
    running.take("runs", [events(b"data: " + json.dumps(chunk).encode() + b"\n\n", END)])


def test_a_deep_refusal_is_a_refusal(running: Rig) -> None:
    deep = (
        b'{"error": {"code": 429, "message": "slow down", "a": '
        + b'{"a":' * 900
        + b"1"
        + b"}" * 902
    )
    for status in (200, 400, 429, 500):
        running.take("message", [Transmission.whole(status, {}, deep)], offline_answer=False)


def test_calls_of_a_kilobyte_name_and_no_known_type(running: Rig) -> None:
    calls = [ToolCall("n" * 5_000, {}), ToolCall("__class__", "[]"), ToolCall("calculator", "{}")]
    running.take("message", [Reply(tool_calls=calls)])


@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize("door", DOORS)
def test_what_a_provider_says_of_its_failure_can_be_shown(
    running: Rig, door: str, status: int
) -> None:
    said = "\ud83d half\0 of\n2026-01-01 [info] forged \x1b[31m \u202e key sk-test <h1>502</h1>"
    body = json.dumps({"error": {"message": said, "code": status if status >= 400 else said}})
    running.take(door, [Transmission.whole(status, {}, body.encode())])
