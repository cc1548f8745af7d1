"""A grammar of what a model's provider may send: JSON, events, HTTP, and how they are torn.

Each part is mostly as it should be, so that most answers are wrong in few places: what is wrong
everywhere is refused by the first reader and tests no other.
"""

import gzip
import json
import math
import zlib
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from tests.hostile import draw
from tests.hostile.draw import Draw, either, of, rarely, several, torn
from tests.provider.script import Ending, Transmission

JSON = Any


class Written(str):
    """A JSON value as it is written: no Python object is written so."""

    __slots__ = ()


MARK = "everturn-written-"


def encode(value: JSON) -> str:
    """Write JSON, with what no encoder writes."""
    found: list[str] = []

    def hide(value: JSON) -> JSON:
        if isinstance(value, Written):
            found.append(str(value))
            return f"{MARK}{len(found) - 1}."
        if isinstance(value, dict):
            return {key: hide(each) for key, each in value.items()}
        return [hide(each) for each in value] if isinstance(value, list) else value

    text = json.dumps(hide(value))
    for number, written in enumerate(found):
        text = text.replace(f'"{MARK}{number}."', written)
    return text


# Values

HOSTILE_TEXTS = (
    "",
    " ",
    "\0",
    "\ud83d",
    "\ude00 alone",
    "a\nb\r\n{}",
    '{"event": "api_request", "level": "info"}\n{"event": "forged"}',
    "\x1b[31mred\x1b[0m\x07",
    "\u202eright to left",
    "<script>alert(1)</script>",
    "<html><body>Bad gateway</body></html>",
    "<think>never closed",
    "</think>",
    "[DONE]",
    "null",
    "__remove_all__",
    "__everturn",
    "__interrupt__",
    "__start__",
    "../../etc/passwd",
    "x" * 3_000,
    "é" * 70,
)
NAMES = ("type", "text", "id", "message", "content", "role", "thinking", "signature")
HOSTILE_NUMBERS = (
    *(-1, 0, 2**31, 2**53, 2**63, 2**64, 2**70, -(2**70), 10**100, 0.5, 1e308),
    *(math.nan, math.inf, -math.inf),
)
WRITTEN = (
    Written("1e999"),
    Written("-1e999"),
    Written("9" * 5_000),
    Written("1e-400"),
    Written("[" * 200 + "]" * 200),
    Written("[" * 5_000 + "]" * 5_000),
    Written('{"a":' * 900 + "1" + "}" * 900),
    Written('{"a": 1, "a": 2}'),
    Written('"\\ud800\\u0000"'),
)


def odd(chance: Random, depth: int = 3) -> JSON:
    """Any JSON value, strange ones first of all."""
    kind = chance.randrange(10 if depth else 7)
    if kind < 2:
        return chance.choice(HOSTILE_TEXTS)
    if kind < 4:
        return chance.choice(HOSTILE_NUMBERS)
    if kind < 7:
        return chance.choice((None, True, False, {}, [], *WRITTEN))
    if kind < 9:
        names = [*NAMES, chance.choice(HOSTILE_TEXTS)]
        return {chance.choice(names): odd(chance, depth - 1) for _ in range(chance.randint(0, 3))}
    return [odd(chance, depth - 1) for _ in range(chance.randint(0, 3))]


def mostly(*values: JSON) -> Draw[JSON]:
    """One of these, or something odd."""
    return rarely(of(*values), odd)


members = partial(draw.members, strange=odd)
texts = of(*HOSTILE_TEXTS)

# What a model says

words = mostly("Hello", " world", "", "é", "two\nlines", None)
arguments = mostly(
    "{}",
    '{"expression": "1+1"}',
    '{"expression": "1',
    '+1"}',
    '{"a": 1e999}',
    '{"a": NaN}',
    '{"city": "Oslo"}',
    '{"url": "http://169.254.169.254/"}',
    "[]",
    "7",
    "null",
    '"text"',
    "{" * 40,
    "[" * 300 + "]" * 300,
    '{"expression": "' + "1+" * 2_000 + '1"}',
    '{"n": ' + "9" * 5_000 + "}",
    '{"a": "\\ud83d"}',
    '{"a": "\\u0000"}',
    '{"__everturn": {}, "config": {"configurable": {"thread_id": "x"}}}',
    {"expression": "1+1"},
    ["1+1"],
)
tool_names = mostly(
    "calculator",
    "calculator",
    "get_weather",
    "current_time",
    "fetch_page",
    "no_such_tool",
    "calc",
    "",
    "__remove_all__",
    "__class__",
    "a b\nc",
    "n" * 5_000,
)
call_ids = mostly("call_1", "call_2", "", None, "a\nb", "\0", "i" * 5_000, "i" * 9_000)
indexes = mostly(0, 0, 1, 2, -1, 2**70, None, "0", 1.5)
functions = members({"name": tool_names, "arguments": arguments}, description=odd)
call_entries = members(
    {"index": indexes, "id": call_ids, "type": mostly("function"), "function": functions},
    extra_content=odd,
    custom=odd,
)
calls = rarely(
    several(rarely(call_entries, odd), 3, least=1),
    either(odd, lambda chance: [call_entries(chance)] * 40, call_entries),
)

block_types = mostly("text", "output_text", "thinking", "image_url", "video", "unknown")
block = members(
    {"type": block_types},
    text=words,
    thinking=words,
    signature=words,
    index=indexes,
    image_url=odd,
    content=odd,
)
blocks = several(rarely(block, odd), 3)
roles = mostly("assistant", "assistant", "user", "system", "tool", "remove", "function", "")
deltas = members(
    {"role": roles, "content": either(words, blocks)},
    tool_calls=calls,
    function_call=functions,
    refusal=words,
    reasoning=either(words, blocks),
    reasoning_content=either(words, blocks),
    reasoning_details=either(blocks, odd),
    thinking_blocks=either(blocks, odd),
    extra_content=odd,
    annotations=odd,
    audio=odd,
    id=mostly("__remove_all__", "m1"),
    name=texts,
    type=mostly("remove", "human", "system"),
    additional_kwargs=odd,
    response_metadata=odd,
    usage_metadata=odd,
    tool_call_id=odd,
)
calling = members({"role": roles, "content": words, "tool_calls": calls})
counts = mostly(0, 1, 7, 2**40, -5, "7", True)
usages = members(
    {"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts},
    cost=mostly(0.01, -1, 1e300, "free", True, math.nan, math.inf),
    prompt_tokens_details=either(members({"cached_tokens": counts}, audio_tokens=counts), odd),
    completion_tokens_details=either(
        members({"reasoning_tokens": counts}, audio_tokens=counts), odd
    ),
    cost_details=odd,
)
errors = rarely(
    members(
        {
            "message": mostly(
                "Provider returned error",
                "key sk-test is wrong",
                "<html><h1>502</h1></html>",
                'line\n{"event": "forged"}',
                "please try again in 2s",
            ),
            "code": mostly(
                400, 401, 402, 403, 404, 413, 429, 500, 503, "insufficient_quota", 2**70
            ),
        },
        metadata=either(odd, members({"headers": odd, "raw": odd})),
        type=odd,
        param=odd,
        status=odd,
        details=odd,
        retry_after=odd,
        retryDelay=odd,
    ),
    odd,
)


def choices(form: str) -> Draw[JSON]:
    """The `choices` of a chunk (`delta`) or of a whole answer (`message`)."""
    finish = (
        mostly(None, None, None, "stop")
        if form == "delta"
        else mostly("stop", "tool_calls", "length", "content_filter", "error", "null")
    )
    one = members(
        {
            "index": indexes,
            form: rarely(either(deltas, calling), odd),
            "finish_reason": finish,
        },
        logprobs=odd,
        usage=usages,
        native_finish_reason=odd,
        message=odd,
    )
    failed = members({"error": errors, "finish_reason": finish})
    return rarely(several(one, 1, least=1), either(several(either(one, odd, failed), 3), odd))


def completions(form: str) -> Draw[JSON]:
    """A chunk, or a whole answer."""
    return rarely(
        members(
            {
                "id": mostly("gen-1", "a\nb", "__remove_all__", "i" * 5_000),
                "model": mostly("m", "other/model", 'm\n{"event": "forged"}', "x" * 5_000),
                "created": mostly(1_750_000_000, -1, 2**70, "yesterday"),
                "choices": choices(form),
            },
            object=odd,
            usage=either(usages, odd),
            x_groq=either(members({"usage": usages}), odd),
            service_tier=odd,
            system_fingerprint=odd,
        ),
        either(
            odd,
            members({"error": errors}),
            members({"message": errors, "detail": odd}),
            members({"detail": odd, "choices": choices(form)}),
        ),
        one_in=24,
    )


# How it is written

finished = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
ends = members({"choices": of(finished)}, usage=either(usages, odd), model=texts)
GARBAGE = (
    b": comment\n\n",
    b"data\n\n",
    b"data:\n\n",
    b"data: \n\n",
    b"data: not json\n\n",
    b'data: {"choices": [{"delta": {"cont\n\n',
    b"data: <html>\n\n",
    b"data: [DONE]\n\n",
    b"event: error\ndata: {}\n\n",
    b"event: error\ndata: key sk-test is wrong\n\n",
    b"event: ping\n\n",
    b'error: {"message": 7}\n\n',
    b"id: \0\nretry: 1e999\n\n",
    b"\xff\xfe\x00\n\n",
    b"\xed\xa0\x80\n\n",
    b"data: \xed\xa0\x80\n\n",
    b"\xef\xbb\xbf",
    b"\r\r\r\n",
    b"\n" * 200,
    b": \n\n" * 300,
    b"x" * 20_000,
    b"data: " + b"[" * 5_000 + b"\n\n",
    b"data: []\n\n" * 50,
    b"data: null\n\n",
)


def events(chance: Random) -> bytes:
    """A stream of events."""
    chunks = several(completions("delta"), 4)(chance)
    if chance.randrange(8):
        chunks.append(ends(chance))
    frames = [f"data: {encode(chunk)}\n\n".encode() for chunk in chunks]
    if chance.randrange(4):
        frames.append(b"data: [DONE]\n\n")
    for garbage in rarely(of(()), several(of(*GARBAGE), 3))(chance):
        frames.insert(chance.randint(0, len(frames)), garbage)
    line_end = rarely(of(b"\n"), of(b"\r\n", b"\r", b"\n\r"))(chance)
    start = rarely(of(b""), of(b"\xef\xbb\xbf", b" \n", b"\0", b"\xef"))(chance)
    return bytes(start + b"".join(frames).replace(b"\n", line_end))


def documents(chance: Random) -> bytes:
    """An answer that is not streamed."""
    return encode(completions("message")(chance)).encode()


pages = of(
    *(b"", b"<html><body>sk-test</body></html>", b"null", b"[]", b"{", b"\0" * 100, b"Bad gateway")
)
bodies = rarely(events, rarely(documents, pages, one_in=3), one_in=3)

# How it is sent

STATUSES = (200, 201, 204, 206, 300, 302, 304, 400, 401, 402, 403, 404, 407, 408, 413, 418, 422)
MORE_STATUSES = (429, 451, 499, 500, 502, 503, 504, 520, 529, 599, 999)
statuses = rarely(of(200), of(*STATUSES, *MORE_STATUSES), one_in=16)
types = rarely(
    of(b"text/event-stream"),
    of(b"application/json", b"text/html", b"", b"text/event-stream; charset=utf-16", b"\xff/x"),
)
header_lines = several(
    of(
        *(
            b"Retry-After: 1",
            b"Retry-After: -1",
            b"Retry-After: 1e400",
            b"Retry-After: " + b"9" * 400,
            b"Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
            b"Retry-After: 0001-01-01T00:00:00",
            b"retry-after-ms: nan",
            b"X-RateLimit-Reset: 99999999999999999999",
            b"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 9999999999d",
            b"Set-Cookie: a=b; Domain=localhost",
            b"Location: http://127.0.0.1:9/",
            b"Location: /v1/chat/completions",
            b"Location: file:///etc/passwd",
            b'Alt-Svc: h3=":443"',
            b"X: " + b"y" * 20_000,
            b"\r\n".join(b"X-%d: y" % n for n in range(150)),
            b"X\xff: \xff",
            b"no colon",
            b"Trailer: x",
        )
    ),
    2,
)


def _stored(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


ENCODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": _stored,
    b"x-gzip": _stored,
    b"deflate": zlib.compress,
    b"gzip, gzip": lambda data: _stored(_stored(data)),
    b"br": lambda data: data,
    b"zstd": lambda data: data,
    b"rot13": lambda data: data,
    b"identity": lambda data: data,
}
LIES = (b"gzip", b"deflate")
FRAMINGS = ("short", "long", "bad chunk", "no end", "both", "negative")
FIRST = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n",
    *(b"\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"\0", b"\x16\x03\x01"),
)


def transmission(chance: Random) -> Transmission:
    """All that the socket of a client may see after its request."""
    body, coding = bodies(chance), rarely(of(b""), of(*ENCODINGS, b"lie"), one_in=16)(chance)
    lines = rarely(of([]), header_lines)(chance)
    if coding == b"lie":
        lines = [*lines, b"Content-Encoding: " + chance.choice(LIES)]
    elif coding:
        body = ENCODINGS[coding](body)
        lines = [*lines, b"Content-Encoding: " + coding]
    framing = rarely(of("chunked", "chunked", "length", "close"), of(*FRAMINGS))(chance)
    head = [b"HTTP/1.1 %d OK" % statuses(chance), b"Content-Type: " + types(chance), *lines]
    pieces = torn(chance, body)
    if framing in {"chunked", "bad chunk", "no end", "both"}:
        head.append(b"Transfer-Encoding: chunked")
        last = {"bad chunk": b"zz\r\n", "no end": b""}.get(framing, b"0\r\n\r\n")
        pieces = [*(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), last]
    lengths = {"both": len(body), "length": len(body), "short": len(body) // 2}
    lengths |= {"long": len(body) + 1_000, "negative": -1}
    if framing in lengths:
        head.append(b"Content-Length: %d" % lengths[framing])
    first = rarely(of(b""), of(*FIRST), one_in=32)(chance)
    ending: Ending = rarely(of("cut"), of("cut", "reset", "stall"))(chance)
    if ending == "stall":  # no other request is sent into the silence
        head.append(b"Connection: close")
    pause = rarely(of(0.0), of(0.01))(chance)
    wire = [first + b"\r\n".join(head) + b"\r\n\r\n", *pieces]
    return Transmission(None, pieces=[(pause, piece) for piece in wire if piece], ending=ending)


def script(chance: Random) -> list[Transmission]:
    """What one turn meets: the answers of the first calls, until the provider behaves."""
    return several(transmission, 2, least=1)(chance)
